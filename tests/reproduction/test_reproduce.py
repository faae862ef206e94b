"""Targets say reached when, and only when, their numbers are."""

import json
import math
import sys

import pytest

from vaelab.cli import hydra_app
from vaelab.cli import reproduce as program
from vaelab.reproduction.expectations import Source, read_expectations
from vaelab.reproduction.record import read_table
from vaelab.reproduction.targets import smoke_overrides
from vaelab.reproduction.verdict import Measurement, Outcome, Verdict, compare
from vaelab.runs.config import to_container

DERIVED = {"kind": "derived", "reason": "a theorem"}
GUESS = {"kind": "estimate", "reason": "a guess"}
TARGETS = sorted(path.stem for path in (hydra_app.CONF / program.TARGETS).glob("*.yaml"))


def expect(row, source=DERIVED):
    """The expectation of a row about x."""
    target = {"sources": {"s": source}, "expected": [{"number": "x", "source": "s"} | row]}
    return read_expectations(target)[0]


@pytest.mark.parametrize(
    ("measured", "within"),
    [(1.0, True), (1.1, True), (0.9, True), (1.11, False), (math.nan, False), (math.inf, False)],
)
def test_verdict_is_a_comparison_with_the_tolerance(measured, within):
    row = {"value": 1.0, "tolerance": 0.1000001}
    assert compare(expect(row), Measurement(measured)).within is within


@pytest.mark.parametrize(
    ("row", "measured", "within"),
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
def test_verdict_of_one_side_or_both(row, measured, within):
    one = compare(expect(row), Measurement(measured))
    assert one.within is within
    assert all(f"{bound.replace('_', ' ')} {row[bound]:g}" in str(one) for bound in row)


@pytest.mark.parametrize("value", [0.24, 0.26])
def test_verdict_depends_on_the_number_and_not_on_its_interval(value):
    number = Measurement(value, (0.2, 0.3), {"seed=0": 0.2, "seed=1": 0.3})
    one = compare(expect({"at_least": 0.25}), number)
    assert one.within is (value > 0.25)
    assert f"{value} [0.2, 0.3]" in str(one)
    assert one.num_runs == 2


@pytest.mark.parametrize(
    ("source", "value", "word"),
    [
        *((DERIVED, 1.0, "reached"), (DERIVED, 2.0, "MISSED")),
        *((GUESS, 1.0, "within estimate"), (GUESS, 2.0, "outside estimate")),
    ],
)
def test_word_and_source_of_a_number_are_printed(source, value, word):
    line = str(compare(expect({"value": 1, "tolerance": 0}, source), Measurement(value)))
    assert line.startswith(f"  {word} ")
    assert f"{source['kind']} (s)" in line


SOURCE, OWN = Source("s", **DERIVED), Source("own", **GUESS)
MISSED, REACHED = Verdict("a", 2, 1, 1, "1", SOURCE), Verdict("b", 1, 1, 1, "1", SOURCE)
OUTSIDE, WITHIN = Verdict("c", 2, 1, 1, "1", OWN), Verdict("d", 1, 1, 1, "1", OWN)


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
        (
            Outcome("c1", [REACHED, OUTSIDE, WITHIN]),
            *(0, "C1 reached: 1 of 1 numbers, 1 of 2 within their estimate"),
        ),
        (
            Outcome("c1", [MISSED, WITHIN]),
            *(1, "C1 NOT reached: 0 of 1 numbers, 1 of 1 within their estimate"),
        ),
        (
            Outcome("c1", [OUTSIDE]),
            *(0, "C1 inconclusive: estimates only, 0 of 1 within their estimate"),
        ),
    ],
)
def test_outcome_counts_what_was_reached(outcome, code, last):
    lines = str(outcome).splitlines()
    assert (outcome.exit_code, lines[-1]) == (code, last)
    assert ("  MISSING  seed=3 (killed)" in lines) == bool(outcome.failures)
    assert ("MISSED" in str(outcome)) == (code == 1 and not outcome.smoke)
    assert ("UNKNOWN  val/elbow" in str(outcome)) == bool(outcome.unmeasured)


@pytest.mark.parametrize("deciding", [[REACHED], [MISSED], [REACHED, MISSED], []])
def test_an_estimate_never_decides(deciding):
    """Whether estimates are met, missed or absent, verdict and exit code are the same."""
    outcomes = [
        Outcome("c1", [*estimates, *deciding])
        for estimates in ([WITHIN], [OUTSIDE], [OUTSIDE] * 5, [] if deciding else [WITHIN])
    ]
    assert len({(one.word, one.exit_code, one.reached) for one in outcomes}) == 1
    assert outcomes[0].word == ("inconclusive" if not deciding else
                                "NOT reached" if MISSED in deciding else "reached")  # fmt: skip


def test_sources_are_printed_once_each():
    text = str(Outcome("c1", [REACHED, REACHED, WITHIN]))
    assert text.count("derived (s): a theorem") == 1
    assert text.count("estimate (own): a guess") == 1


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_composes_and_says_where_it_comes_from(compose, name):
    cfg = compose(f"experiment=reproduce/{name}")
    expectations = read_expectations(to_container(cfg)["target"])
    assert {one.source.name for one in expectations} == set(cfg.target.sources)
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
    row = f"target.expected=[{{number: {name}, value: 0, tolerance: 0, source: layers}}]"
    arguments = ["e5", "--scale", "smoke", row, "target.measure.models=[burgess]"]
    assert reproduce(monkeypatch, tmp_path, *arguments) == code
    assert ("UNKNOWN  burges:" in capsys.readouterr().out) == (code == 1)


def test_a_target_that_fails_does_not_stop_the_next(monkeypatch, tmp_path, capsys):
    """f5 reads runs that are not there."""
    arguments = ["f5", "e5_bounds", "e5", f"output_root={tmp_path}", "latent_dim=4"]
    assert reproduce(monkeypatch, tmp_path, *arguments) == 2
    out = capsys.readouterr().out
    assert "MISSING  F1: 30 of 30 runs are missing in" in out
    assert "F5 incomplete: estimates only, 0 of 13 within their estimate" in out
    assert "E5_BOUNDS reached" in out
    assert "E5 reached" in out
    files = {file.parts[-3]: file for file in tmp_path.glob("*/*/verdicts.json")}
    assert set(files) == {"f5", "e5_bounds", "e5"}
    records = json.loads(files["e5"].read_text())
    assert {(one["source"]["kind"], one["decides"]) for one in records} == {("derived", True)}
    records = json.loads(files["f5"].read_text())
    assert {(one["verdict"], one["decides"]) for one in records} == {("outside estimate", False)}


@pytest.mark.parametrize("row", ["value: 0, tolerance: 0", "above: 0, source: layer"])
def test_a_number_without_a_source_is_rejected_before_anything_runs(
    row, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr("vaelab.reproduction.checks.parameter_counts", pytest.fail)
    override = f"target.expected=[{{number: burgess, {row}}}]"
    assert reproduce(monkeypatch, tmp_path, "e5", override, f"output_root={tmp_path}") == 2
    assert "target.expected expects a source for burgess, got" in capsys.readouterr().err


def test_record_writes_the_row(monkeypatch, tmp_path):
    file = tmp_path / "reproduction.md"
    file.write_text(program.RECORD.read_text())
    monkeypatch.setattr(program, "RECORD", file)
    arguments = ["e5", "--record", "target.measure.models=[burgess]"]
    assert reproduce(monkeypatch, tmp_path, *arguments) == 1
    row = read_table(file.read_text())["e5"]
    assert (row.verdict, row.reached, row.within_estimate) == ("NOT reached", "2 of 4", "-")
    assert row.sources == "4 derived"
    assert float(row.minutes) < 10
    assert row.command == "`python scripts/reproduce.py e5 target.measure.models=[burgess]`"


def test_list_answers(monkeypatch, tmp_path, capsys):
    assert reproduce(monkeypatch, tmp_path, "--list") == 0
    out = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{out}" for name in TARGETS)
    assert '1 published: Burda et al. 2016, "Importance Weighted Autoencoders", table 1' in out
    assert "6 estimate: medians remembered" in out
