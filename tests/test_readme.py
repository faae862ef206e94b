"""The README's own commands: every one composes, every file it names exists."""

import re
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from vaelab import build

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL))
TRAIN = [
    shlex.split(line, comments=True)[2:]
    for line in BLOCKS.splitlines()
    if "scripts/train.py" in line and "resume=" not in line
]


def test_readme_has_train_commands_and_fits():
    assert len(TRAIN) >= 5
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("words", TRAIN, ids=" ".join)
def test_train_commands_compose_and_build_a_model(compose, words):
    words = [word for word in words if word != "-m"]
    single = []
    for override, word in zip(OverridesParser.create().parse_overrides(words), words, strict=True):
        swept = override.is_sweep_override()
        single.append(f"{override.key_or_group}=1" if swept else word)
    cfg = compose(*single)
    model = build.build_model(cfg, (1, 64, 64), (10,) if cfg.condition else ())
    assert model.latent_dim == cfg.latent_dim
    build.build_objective(cfg, 100, 10)


@pytest.mark.parametrize("file", re.findall(r"\]\(([^)#:]+)\)", README))
def test_files_that_the_readme_names_exist(file):
    assert (ROOT / file).exists()


@pytest.mark.parametrize("command", re.findall(r"scripts/\w+\.py", README))
def test_scripts_exist_and_are_short(command):
    assert len((ROOT / command).read_text().splitlines()) <= 20


def test_options_that_the_readme_lists_exist():
    groups = (
        *("data", "model", "likelihood", "objective", "kl_penalty", "trainer"),
        *("posterior", "prior", "condition"),
    )
    for group in groups:
        row = next(line for line in README.splitlines() if line.startswith(f"| `{group}` |"))
        known = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}
        named = {word.split()[0] for word in re.findall(r"`([^`]+)`", row.split("|")[2])}
        assert known <= named, group
