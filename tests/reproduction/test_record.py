"""The table of docs/reproduction.md agrees with conf/, is listed, and is written row by row."""

import dataclasses

import pytest

from vaelab.cli import hydra_app
from vaelab.cli import reproduce as program
from vaelab.errors import UserError
from vaelab.reproduction.record import format_list, make_row, read_table, replace_row
from vaelab.reproduction.targets import read_targets
from vaelab.reproduction.verdict import Outcome, Verdict

KNOWN = read_targets(hydra_app.CONF / program.TARGETS)
TEXT = program.RECORD.read_text()
MACHINE = {"gpus": [], "cpu": "a CPU"}


def outcome(name, *reached, **others):
    verdicts = [Verdict("x", float(not one), 0, 0, "0") for one in reached]
    return Outcome(name, verdicts, seeds=["0", "1"], **others)


def test_every_target_has_a_row_and_every_row_a_target():
    assert list(read_table(TEXT)) == list(KNOWN)


def test_rows_say_what_was_typed():
    for name, row in read_table(TEXT).items():
        assert row.command.startswith(f"`python scripts/reproduce.py {name}")
        assert row.verdict in ("reached", "NOT reached", "not measured", "incomplete")


def test_numbers_of_a_row_are_those_of_its_target(compose):
    for name, row in read_table(TEXT).items():
        if row.verdict == "not measured":
            continue
        reached, _, total = row.reached.partition(" of ")
        assert int(total) == len(compose(f"experiment=reproduce/{name}").target.expected), name
        assert (reached == total) == (row.verdict == "reached"), name


def test_list_has_titles_and_the_last_verdicts():
    text = format_list(KNOWN, read_table(TEXT))
    assert "c3         cpu   NOT reached 3 of 4, 2026-" in text
    assert "how many latents a plain VAE uses on greyscale MNIST" in text
    assert "f8         full  not measured\n" in text
    assert "15 runs of about 40 seconds on one CPU core" in text


def test_record_changes_the_row_of_its_target_alone(tmp_path):
    file = tmp_path / "reproduction.md"
    file.write_text(TEXT)
    command = "python scripts/reproduce.py f3 trainer=gpu"
    replace_row(file, make_row(outcome("f3", True, True, False), MACHINE, command))
    changed = read_table(file.read_text())
    assert changed["f3"].verdict == "NOT reached"
    assert changed["f3"].reached == "2 of 3"
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
