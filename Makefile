# make train   the environment, then one beta-VAE on rendered dSprites (about 3 minutes on two cores)
# make sweep   the environment, then nine runs: killed half-way, resumed, reported (5 minutes)
# make test    the environment, then the tests
# make faults  every moment of a kill or a full disk, thousands of damaged files and bad settings
PYTHON ?= python3
STAMP := .venv/.ready

.PHONY: setup train sweep test faults lint

setup: $(STAMP)

# Remade when pyproject.toml changes. uv is used where it is installed, since it is three times as fast.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"vaelab needs Python 3.11, 3.12 or 3.13, this is {v[0]}.{v[1]}: make setup PYTHON=python3.11")'
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	if command -v uv >/dev/null 2>&1 && uv pip install --quiet --compile-bytecode --python .venv/bin/python -e '.[dev]'; then :; \
	else .venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'; fi
	touch $@

train: setup
	.venv/bin/python scripts/train.py

SWEEP := .venv/bin/python scripts/train.py -m experiment=tutorial/sweep hydra/launcher=local

sweep: setup
	@echo "-- nine runs, killed after 50 seconds as a machine may"
	@timeout --signal=KILL 50 $(SWEEP) || echo "-- killed"
	@echo "-- what is left of it"
	@sleep 3; .venv/bin/python scripts/sweep.py status outputs/beta_sweep/sweep || true
	@echo "-- the same command again"
	$(SWEEP)
	.venv/bin/python scripts/evaluate.py run=outputs/beta_sweep/sweep metrics=[udr] figures=false
	.venv/bin/python scripts/report.py outputs/beta_sweep/sweep

test: setup
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

faults: setup
	.venv/bin/python -m pytest tests/faults -n 2 --dist loadfile -m 'faults or not faults'

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
