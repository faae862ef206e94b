# make train   the environment, then one beta-VAE on rendered dSprites (about 3 minutes on two cores)
# make test    the environment, then the tests
PYTHON ?= python3
STAMP := .venv/.ready

.PHONY: setup train test lint

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

test: setup
	.venv/bin/python -m pytest

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
