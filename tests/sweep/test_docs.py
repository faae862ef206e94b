"""The docs of sweeps: their commands compose, and every setting of a launcher is explained."""

import inspect
import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import OmegaConf

from vaelab.cli.hydra_app import CONF, register_resolvers
from vaelab.sweep.grid import combine

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {name: (DOCS / f"{name}.md").read_text() for name in ("sweeps", "launchers", "clusters")}
COMMANDS = [
    line.replace("<head>", "10.0.0.1")
    for text in PAGES.values()
    for line in text.replace("\\\n", " ").splitlines()
    if line.startswith("python scripts/train.py -m")
]
PAGE_OF = {"local": "launchers", "ray": "launchers", "slurm": "clusters"}


def test_pages_have_commands():
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_compose(command):
    overrides = shlex.split(command, comments=True)[3:]
    of_hydra = [one for one in overrides if one.startswith("hydra")]
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        first = combine(overrides, {}, [[]])[0]
        cfg = compose("train", overrides=[*first, *of_hydra], return_hydra_config=True)
    assert cfg.hydra.launcher._target_.startswith("vaelab.")


@pytest.mark.parametrize("launcher", PAGE_OF)
def test_settings_of_a_launcher_are_explained_and_have_one_default(launcher):
    file = CONF / "hydra" / "launcher" / f"{launcher}.yaml"
    config = OmegaConf.to_container(OmegaConf.load(file))
    defaults = inspect.signature(get_object(config.pop("_target_"))).parameters
    assert list(config) == [name for name in defaults if name in config]
    assert len(config) == len(defaults)
    for name, value in config.items():
        assert re.search(rf"^{name}: .* # \w", file.read_text(), re.MULTILINE), name
        assert re.search(rf"`(hydra\.launcher\.)?{name}[`=]", PAGES[PAGE_OF[launcher]]), name
        assert (value or None) == (defaults[name].default or None), name
