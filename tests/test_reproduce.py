"""Targets say reached when, and only when, their numbers are."""

import math
import sys

import pytest

from vaelab import commands
from vaelab.reproduce import Verdict, report

TARGETS = sorted(path.stem for path in (commands.CONF / commands.TARGETS).glob("*.yaml"))


@pytest.mark.parametrize(
    ("measured", "reached"),
    [(1.0, True), (1.1, True), (0.9, True), (1.11, False), (math.nan, False), (math.inf, False)],
)
def test_verdict_is_a_comparison_with_the_tolerance(measured, reached):
    assert Verdict("x", measured, 1.0, 0.1000001).reached is reached


def test_report_counts_what_was_reached():
    text = report("c1", [Verdict("a", 1, 1, 0), Verdict("b", 2, 1, 0)])
    assert text.splitlines()[-1] == "C1 NOT reached: 1 of 2 numbers"
    assert text.splitlines()[1].split()[0] == "MISSED"


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_composes_and_says_where_it_comes_from(compose, name):
    cfg = compose(f"experiment=reproduce/{name}")
    assert len(cfg.target.expected) >= 1
    for row in cfg.target.expected:
        assert {"number", "value", "tolerance"} <= set(row)
    header = (commands.CONF / commands.TARGETS / f"{name}.yaml").read_text()
    for word in ("Source", "Command", "Expected", "Time"):
        assert f"\n# {word}" in header


@pytest.mark.parametrize("name", ["e4", "e5"])
def test_exact_targets_are_reached(name, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAELAB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "argv", ["reproduce.py", name, f"hydra.run.dir={tmp_path}/run"])
    commands.reproduce()
    assert f"{name.upper()} reached" in capsys.readouterr().out


def test_a_target_that_is_missed_ends_with_exit_code_1(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["e5", "target.measure.models=[burgess]", f"hydra.run.dir={tmp_path}/run"]
    monkeypatch.setattr(sys, "argv", ["reproduce.py", *words])
    with pytest.raises(SystemExit) as stop:
        commands.reproduce()
    assert stop.value.code == 1
    assert "E5 NOT reached: 1 of 3 numbers" in capsys.readouterr().out
