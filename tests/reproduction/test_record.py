"""The table of docs/reproduction.md agrees with conf/, is listed, and is written row by row."""

import dataclasses

import pytest

from vaelab.cli import hydra_app
from vaelab.cli import reproduce as program
from vaelab.errors import UserError
from vaelab.reproduction.expectations import Source, count_kinds
from vaelab.reproduction.record import format_list, make_row, read_table, replace_row
from vaelab.reproduction.targets import read_targets
from vaelab.reproduction.verdict import Outcome, Verdict

KNOWN = read_targets(hydra_app.CONF / program.TARGETS)
TEXT = program.RECORD.read_text()
MACHINE = {"gpus": [], "cpu": "a CPU"}


def outcome(name, *reached, estimates=(), **others):
    verdicts = [
        Verdict("x", float(not one), 0, 0, "0", Source("s", kind, reason="a reason"))
        for kind, ones in (("derived", reached), ("estimate", estimates))
        for one in ones
    ]
    return Outcome(name, verdicts, seeds=["0", "1"], seconds=90, **others)


def test_every_target_has_a_row_and_every_row_a_target():
    assert list(read_table(TEXT)) == list(KNOWN)


def test_rows_say_what_was_typed():
    verdicts = ("reached", "NOT reached", "inconclusive", "not measured", "incomplete")
    for name, row in read_table(TEXT).items():
        assert row.command.startswith(f"`python scripts/reproduce.py {name}")
        assert row.verdict in verdicts


def test_numbers_of_a_row_are_those_of_its_target():
    """Of the deciding numbers and of the estimates as many as the YAML file has of each."""
    for name, row in read_table(TEXT).items():
        sources = [one.source for one in KNOWN[name].expectations]
        assert row.sources == count_kinds(sources), name
        if row.verdict == "not measured":
            continue
        deciding = sum(one.decides for one in sources)
        estimates = len(sources) - deciding
        for counts, num in ((row.reached, deciding), (row.within_estimate, estimates)):
            assert counts.endswith(f" of {num}") if num else counts == "-", name
        reached, _, total = row.reached.partition(" of ")
        word = "inconclusive" if not deciding else "reached" if reached == total else "NOT reached"
        assert row.verdict == word, name
        assert float(row.minutes.removeprefix("about ")) > 0


def test_list_has_titles_last_verdicts_and_sources():
    text = format_list(KNOWN, read_table(TEXT))
    assert "c3         cpu   reached 3 of 3, 2 of 3 within estimate, 2026-" in text
    assert "c6         cpu   inconclusive 1 of 1 within estimate, 2026-" in text
    assert "how many latents a plain VAE uses on greyscale MNIST" in text
    assert "f8         full  not measured\n" in text
    assert "15 runs of about 40 seconds on one CPU core" in text
    assert "\n           1 estimate: the 228.70 nats that Norouzi et al." in text


def test_record_changes_the_row_of_its_target_alone(tmp_path):
    file = tmp_path / "reproduction.md"
    file.write_text(TEXT)
    command = "python scripts/reproduce.py f3 trainer=gpu"
    found = outcome("f3", True, True, False, estimates=[False])
    replace_row(file, make_row(found, MACHINE, command))
    changed = read_table(file.read_text())
    assert changed["f3"].verdict == "NOT reached"
    assert (changed["f3"].reached, changed["f3"].within_estimate) == ("2 of 3", "0 of 1")
    assert (changed["f3"].sources, changed["f3"].minutes) == ("3 derived, 1 estimate", "1.5")
    assert (changed["f3"].seeds, changed["f3"].machine) == ("0, 1", "a CPU")
    pairs = zip(TEXT.splitlines(), file.read_text().splitlines(), strict=True)
    assert [new for old, new in pairs if old != new] == [str(changed["f3"])]


def test_record_of_a_target_without_a_row_is_rejected(tmp_path):
    file = tmp_path / "reproduction.md"
    row = make_row(outcome("c99", True), MACHINE, "x")
    with pytest.raises(UserError, match="got an installed package without it"):
        replace_row(file, row)
    file.write_text(TEXT)
    with pytest.raises(UserError, match="expects a row of c99"):
        replace_row(file, row)
    assert file.read_text() == TEXT


def test_gpu_is_the_machine_where_there_is_one():
    row = make_row(outcome("c1", True), {"gpus": ["H200"], "cpu": "a CPU"}, "x")
    assert dataclasses.asdict(row)["machine"] == "H200"
