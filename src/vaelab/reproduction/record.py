"""The table of verdicts in docs/reproduction.md: read by --list, written by --record."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from vaelab.errors import require
from vaelab.files import write_atomically
from vaelab.reproduction.targets import Target
from vaelab.reproduction.verdict import Outcome

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Row:
    """The last verdict of a target, as text."""

    target: str
    verdict: str
    reached: str
    date: str
    seeds: str
    machine: str
    command: str

    def __str__(self) -> str:
        return f"| {' | '.join(astuple(self))} |"


HEADER = Row(*(field.name for field in fields(Row)))


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
        f"{outcome.num_reached} of {len(outcome.verdicts)}",
        date.today().isoformat(),
        ", ".join(outcome.seeds),
        ", ".join(machine["gpus"]) or machine["cpu"],
        f"`{command}`",
    )


def format_list(known: Mapping[str, Target], rows: Mapping[str, Row]) -> str:
    """Every target with its scale, last verdict, title and time."""
    lines = []
    for name, target in known.items():
        row = rows.get(name)
        verdict = NOT_MEASURED if row is None else row.verdict
        numbers = f" {row.reached}, {row.date}" if row and row.reached[:1].isdigit() else ""
        lines += [
            f"{name:<10} {target.scale:<5} {verdict}{numbers}",
            f"{'':<10} {target.title}",
            f"{'':<10} {target.header.get('Time', '')}",
        ]
    return "\n".join(lines)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _is_row(line: str, target: str) -> bool:
    cells = _cells(line)
    return line.startswith("|") and len(cells) == len(fields(Row)) and cells[0] == target
