"""The table of verdicts in docs/reproduction.md: read by --list, written by --record."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from vaelab.errors import require
from vaelab.files import write_atomically
from vaelab.reproduction.expectations import count_kinds
from vaelab.reproduction.targets import Target
from vaelab.reproduction.verdict import Outcome

NOT_MEASURED = "not measured"
NONE = "-"


@dataclass(frozen=True)
class Row:
    """The last verdict of a target, as text.

    Attributes:
        target: its name.
        verdict: reached, NOT reached, inconclusive, incomplete or not measured.
        reached: how many of the deciding numbers were reached, such as "3 of 3".
        within_estimate: the same of the numbers whose range is an estimate.
        sources: how many expected numbers have which kind of source.
        date, seeds, machine, command: of the runs.
        minutes: of training and evaluation, summed over the runs.
    """

    target: str
    verdict: str
    reached: str
    within_estimate: str
    sources: str
    date: str
    seeds: str
    minutes: str
    machine: str
    command: str

    def __str__(self) -> str:
        return f"| {' | '.join(astuple(self))} |"


HEADER = Row(*(field.name.replace("_", " ") for field in fields(Row)))


def read_table(text: str) -> dict[str, Row]:
    """The rows of the first table with the columns of `Row`, by target."""
    lines = iter(text.splitlines())
    for line in lines:
        if _cells(line) == list(astuple(HEADER)):
            break
    next(lines, None)  # of dashes
    rows = {}
    for line in lines:
        if not line.startswith("|"):
            break
        row = Row(*_cells(line))
        rows[row.target] = row
    return rows


def replace_row(file: Path, row: Row) -> None:
    """Replace the row of a target in the table.

    Raises:
        UserError: the file is missing, or has no row of that target.
    """
    require(
        file.exists(),
        f"--record expects {file} of a checkout, got an installed package without it; run it in a "
        "checkout.",
    )
    text = file.read_text()
    old = read_table(text).get(row.target)
    require(
        old is not None,
        f"--record expects a row of {row.target} in the table of {file}, got none; add one.",
    )
    lines = [str(row) if _is_row(line, row.target) else line for line in text.splitlines()]
    write_atomically(file, lambda out: out.write(("\n".join(lines) + "\n").encode()))


def make_row(outcome: Outcome, machine: Mapping[str, Any], command: str) -> Row:
    """The row for an outcome, with the date of today.

    Args:
        outcome: of a target.
        machine: as in provenance.json.
        command: as typed.
    """
    return Row(
        outcome.name,
        outcome.word,
        outcome.reached if outcome.deciding else NONE,
        outcome.within_estimate if len(outcome.deciding) < len(outcome.verdicts) else NONE,
        count_kinds([one.source for one in outcome.verdicts]),
        date.today().isoformat(),
        ", ".join(outcome.seeds),
        f"{outcome.seconds / 60:.2g}",
        ", ".join(machine["gpus"]) or machine["cpu"],
        f"`{command}`",
    )


def format_list(known: Mapping[str, Target], rows: Mapping[str, Row]) -> str:
    """Every target with its scale, last verdict, title, time and sources of its numbers."""
    lines = []
    for name, target in known.items():
        row = rows.get(name)
        verdict = NOT_MEASURED if row is None else row.verdict
        numbers = _numbers(row) if row and row.verdict != NOT_MEASURED else ""
        lines += [
            f"{name:<10} {target.scale:<5} {verdict}{numbers}",
            f"{'':<10} {target.title}",
            f"{'':<10} {target.header.get('Time', '')}",
        ]
        counts = Counter(one.source for one in target.expectations)
        lines += [f"{'':<10} {num} {one.kind}: {one.citation}" for one, num in counts.items()]
    return "\n".join(lines)


def _numbers(row: Row) -> str:
    within = "" if row.within_estimate == NONE else f"{row.within_estimate} within estimate"
    counts = [part for part in (row.reached, within, row.date) if part not in (NONE, "")]
    return f" {', '.join(counts)}"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _is_row(line: str, target: str) -> bool:
    cells = _cells(line)
    return line.startswith("|") and len(cells) == len(fields(Row)) and cells[0] == target
