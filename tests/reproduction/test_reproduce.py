"""Targets say reached when, and only when, their numbers are."""

import math
import sys

import pytest

from vaelab.cli import hydra_app
from vaelab.cli import reproduce as program
from vaelab.errors import UserError
from vaelab.reproduction.record import read_table
from vaelab.reproduction.targets import smoke_overrides
from vaelab.reproduction.verdict import BOUNDS, Measurement, Outcome, Verdict, compare

TARGETS = sorted(path.stem for path in (hydra_app.CONF / program.TARGETS).glob("*.yaml"))


@pytest.mark.parametrize(
    ("measured", "reached"),
    [(1.0, True), (1.1, True), (0.9, True), (1.11, False), (math.nan, False), (math.inf, False)],
)
def test_verdict_is_a_comparison_with_the_tolerance(measured, reached):
    row = {"value": 1.0, "tolerance": 0.1000001}
    assert compare(row, "x", Measurement(measured)).reached is reached


@pytest.mark.parametrize(
    ("row", "measured", "reached"),
    [
        ({"at_least": 2}, 2.0, True),
        ({"at_least": 2}, 1.99, False),
        ({"at_most": 2}, 2.0, True),
        ({"at_most": 2}, 2.01, False),
        ({"above": 0}, 0.0, False),
        ({"above": 0}, 1e-300, True),
        ({"below": 0.4}, 0.4, False),
        ({"below": 0.4}, 0.3999, True),
        ({"above": -1, "below": 1}, -1.0, False),
        ({"at_least": 1, "at_most": 2}, 1.5, True),
        ({"at_least": 1, "at_most": 2}, math.nan, False),
    ],
)
def test_verdict_of_one_side_or_both(row, measured, reached):
    one = compare(row, "x", Measurement(measured))
    assert one.reached is reached
    assert all(f"{bound.replace('_', ' ')} {row[bound]:g}" in str(one) for bound in row)


def test_row_without_an_expectation_is_rejected():
    with pytest.raises(UserError, match=r"expected expects value and tolerance, or some of at_le"):
        compare({"number": "x", "at_lest": 2}, "x", Measurement(3.0))


@pytest.mark.parametrize("value", [0.24, 0.26])
def test_verdict_depends_on_the_number_and_not_on_its_interval(value):
    number = Measurement(value, (0.2, 0.3), {"seed=0": 0.2, "seed=1": 0.3})
    one = compare({"at_least": 0.25}, "x", number)
    assert one.reached is (value > 0.25)
    assert f"{value} [0.2, 0.3]" in str(one)
    assert one.num_runs == 2


MISSED, REACHED = Verdict("a", 2, 1, 1, "1"), Verdict("b", 1, 1, 1, "1")


@pytest.mark.parametrize(
    ("outcome", "code", "last"),
    [
        (Outcome("c1", [REACHED]), 0, "C1 reached: 1 of 1 numbers"),
        (Outcome("c1", [REACHED, MISSED]), 1, "C1 NOT reached: 1 of 2 numbers"),
        (Outcome("c1", [REACHED], ["seed=3 (killed)"]), 2, "C1 incomplete: 1 of 1 numbers"),
        (Outcome("c1", [MISSED], smoke=True), 0, "C1 smoke: 1 numbers of small runs, not compared"),
        (
            Outcome("c1", [MISSED], smoke=True, unmeasured=["val/elbow"]),
            *(1, "C1 smoke: 1 numbers of small runs, not compared"),
        ),
    ],
)
def test_outcome_counts_what_was_reached(outcome, code, last):
    lines = str(outcome).splitlines()
    assert (outcome.exit_code, lines[-1]) == (code, last)
    assert ("  MISSING  seed=3 (killed)" in lines) == bool(outcome.failures)
    assert ("MISSED" in str(outcome)) == (code == 1 and not outcome.smoke)
    assert ("UNKNOWN  val/elbow" in str(outcome)) == bool(outcome.unmeasured)


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_composes_and_says_where_it_comes_from(compose, name):
    cfg = compose(f"experiment=reproduce/{name}")
    assert len(cfg.target.expected) >= 1
    for row in cfg.target.expected:
        assert {"value", "tolerance"} <= set(row) or set(BOUNDS) & set(row)
        assert set(row) <= {"number", "minus", "step", "value", "tolerance", *BOUNDS}
    assert cfg.name == name
    compose(f"experiment=reproduce/{name}", *smoke_overrides(cfg))


@pytest.mark.parametrize("name", ["e4", "e5", "e5_bounds"])
def test_exact_targets_are_reached(name, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAELAB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "argv", ["reproduce.py", name, f"hydra.run.dir={tmp_path}/run"])
    program.main()
    assert f"{name.upper()} reached" in capsys.readouterr().out


def reproduce(monkeypatch, tmp_path, *arguments):
    """The exit code of the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["reproduce.py", *arguments])
    try:
        program.main()
    except SystemExit as stop:
        return stop.code
    return 0


def test_a_target_that_is_missed_ends_with_exit_code_1(monkeypatch, tmp_path, capsys):
    arguments = ["e5", "target.measure.models=[burgess]", f"hydra.run.dir={tmp_path}/run"]
    assert reproduce(monkeypatch, tmp_path, *arguments) == 1
    assert "E5 NOT reached: 2 of 4 numbers" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "code"), [("burgess", 0), ("burges", 1)])
def test_small_runs_find_a_number_that_is_misspelt(name, code, monkeypatch, tmp_path, capsys):
    row = f"target.expected=[{{number: {name}, value: 0, tolerance: 0}}]"
    arguments = ["e5", "--scale", "smoke", row, "target.measure.models=[burgess]"]
    assert reproduce(monkeypatch, tmp_path, *arguments) == code
    assert ("UNKNOWN  burges:" in capsys.readouterr().out) == (code == 1)


def test_a_target_that_fails_does_not_stop_the_next(monkeypatch, tmp_path, capsys):
    """f5 reads runs that are not there."""
    arguments = ["f5", "e5_bounds", "e5", f"output_root={tmp_path}", "latent_dim=4"]
    assert reproduce(monkeypatch, tmp_path, *arguments) == 2
    out = capsys.readouterr().out
    assert "MISSING  F1: 30 of 30 runs are missing in" in out
    assert "F5 incomplete: 0 of 13 numbers" in out
    assert "E5_BOUNDS reached" in out
    assert "E5 reached" in out
    assert len(list(tmp_path.glob("*/*/verdicts.json"))) == 3


def test_record_writes_the_row(monkeypatch, tmp_path):
    file = tmp_path / "reproduction.md"
    file.write_text(program.RECORD.read_text())
    monkeypatch.setattr(program, "RECORD", file)
    arguments = ["e5", "--record", "target.measure.models=[burgess]"]
    assert reproduce(monkeypatch, tmp_path, *arguments) == 1
    row = read_table(file.read_text())["e5"]
    assert (row.verdict, row.reached) == ("NOT reached", "2 of 4")
    assert row.command == "`python scripts/reproduce.py e5 target.measure.models=[burgess]`"


def test_list_answers(monkeypatch, tmp_path, capsys):
    assert reproduce(monkeypatch, tmp_path, "--list") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3 * len(TARGETS)
