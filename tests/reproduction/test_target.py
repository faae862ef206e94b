"""Targets say reached when, and only when, their numbers are."""

import math
import sys

import pytest

from vaelab import commands
from vaelab.reproduction import Verdict, report
from vaelab.reproduction.verdict import verdict

TARGETS = sorted(path.stem for path in (commands.CONF / commands.TARGETS).glob("*.yaml"))


@pytest.mark.parametrize(
    ("measured", "reached"),
    [(1.0, True), (1.1, True), (0.9, True), (1.11, False), (math.nan, False), (math.inf, False)],
)
def test_verdict_is_a_comparison_with_the_tolerance(measured, reached):
    row = {"value": 1.0, "tolerance": 0.1000001}
    assert verdict(row, "x", measured).reached is reached


@pytest.mark.parametrize(
    ("row", "measured", "reached"),
    [
        ({"at_least": 2}, 2.0, True),
        ({"at_least": 2}, 1.99, False),
        ({"at_most": 2}, 2.0, True),
        ({"at_most": 2}, 2.01, False),
        ({"at_least": 1, "at_most": 2}, 1.5, True),
        ({"at_least": 1, "at_most": 2}, math.nan, False),
    ],
)
def test_verdict_of_one_side_or_both(row, measured, reached):
    one = verdict(row, "x", measured)
    assert one.reached is reached
    assert all(f"at {side}" in str(one) for side in ("least", "most") if f"at_{side}" in row)


def test_report_counts_what_was_reached():
    text = report("c1", [Verdict("a", 1, 1, 1, "1"), Verdict("b", 2, 1, 1, "1")])
    assert text.splitlines()[-1] == "C1 NOT reached: 1 of 2 numbers"
    assert text.splitlines()[1].split()[0] == "MISSED"


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_composes_and_says_where_it_comes_from(compose, name):
    cfg = compose(f"experiment=reproduce/{name}")
    assert len(cfg.target.expected) >= 1
    for row in cfg.target.expected:
        assert {"value", "tolerance"} <= set(row) or {"at_least", "at_most"} & set(row)
        assert set(row) <= {
            *("number", "minus", "step", "value", "tolerance", "at_least", "at_most"),
        }
    header = (commands.CONF / commands.TARGETS / f"{name}.yaml").read_text()
    for word in ("Source", "Command", "Expected", "Time"):
        assert f"\n# {word}" in header


@pytest.mark.parametrize("name", ["e4", "e5", "e5_bounds"])
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
    assert "E5 NOT reached: 2 of 4 numbers" in capsys.readouterr().out
