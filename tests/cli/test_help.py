"""`--help` describes every option and every setting."""

import sys

import pytest

from vaelab.cli.help import help_text, settings, summary
from vaelab.cli.hydra_app import CONF
from vaelab.errors import UserError

FILES = sorted(CONF.rglob("*.yaml"))
OPTIONS = [file for file in FILES if "experiment" not in file.parts]


def name(file):
    return str(file.relative_to(CONF).with_suffix(""))


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_option_says_what_it_is(file):
    assert len(summary(file)) > 10


@pytest.mark.parametrize("file", OPTIONS, ids=name)
def test_every_setting_is_described(file):
    # {} is a group, "hydra" an interpolation of what stands elsewhere.
    unsaid = [n for n, text in settings(file) if not text and "={}" not in n and "${" not in n]
    assert unsaid == []


@pytest.mark.parametrize("config", ["train", "evaluate"])
def test_overview_names_every_group_and_fits_the_terminal(config, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scripts/train.py"])  # the usage line has the program's path
    text = help_text(CONF, config, ["--help"])
    assert "metrics" in text
    assert max(map(len, text.splitlines())) <= 110


def test_a_group_and_an_option_by_name():
    assert "beta_tcvae" in help_text(CONF, "train", ["--help", "objective"])
    assert "objective.estimator=constant_free" in help_text(
        CONF, "train", ["objective=beta_tcvae", "--help"]
    )


@pytest.mark.parametrize("wrong", ["objctive", "objective=beta"])
def test_misspelt_names_get_a_suggestion(wrong):
    with pytest.raises(UserError, match="did you mean"):
        help_text(CONF, "train", ["--help", wrong])
