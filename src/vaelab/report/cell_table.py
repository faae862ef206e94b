"""The table of cells: every number over the seeds of each, and which runs lack one."""

from collections.abc import Iterator

import numpy as np

from vaelab.report.blocks import Block, Table, Words, listed, quoted
from vaelab.report.groups import Cell, Floats, Group
from vaelab.report.labels import title
from vaelab.report.markup import ABSENT, number

MAX_ROWS = 200  # of a table; cells.csv has all
NOT_FEW = 10  # runs whose bootstrap intervals are nearly as wide as they should be


def cells(group: Group, _: str) -> Iterator[Block]:
    """Every number of every cell, over its seeds."""
    columns = group.columns
    rows = [
        (
            *(_value(value) for value in cell.settings.values()),
            _counted(cell),
            *(_spread(group, cell, column) for column in columns.values()),
        )
        for cell in group.cells[:MAX_ROWS]
    ]
    where = {"test": "test", "val": "validation"}[group.split]
    caption = (
        f"The {group.statistic} over seeds [its 95 % bootstrap interval]; n: finished runs. ELBO, "
        f"reconstruction and KL in nats per image, on {where} images."
    )
    yield Table((*map(quoted, group.varied), "n", *map(title, columns)), rows, caption)
    if len(group.cells) > MAX_ROWS:
        yield Words(f"The other {len(group.cells) - MAX_ROWS:,} cells are in `cells.csv`.", "small")
    few = max(len(cell.rows) for cell in group.cells)
    if few < NOT_FEW:
        many = f"{few} runs, and bootstrap intervals of so few are too narrow"
        most = "one run, so that there are no intervals" if few == 1 else many
        yield Words(f"A cell has at most {most}.", "small")
    yield from _lacking(group)


def _counted(cell: Cell) -> str:
    num = len(cell.rows)
    return str(num) if num == cell.num_runs else f"{num} of {cell.num_runs}"


def _value(value: object) -> str:
    return ABSENT if value is None else quoted(value)


def _spread(group: Group, cell: Cell, column: Floats) -> str:
    n, value, interval = group.spread(column[cell.rows])
    if n == 0:
        return ABSENT
    text = number(value)
    if interval:
        text += f" [{number(interval[0])}, {number(interval[1])}]"
    return text if n == len(cell.rows) else f"{text} (n = {n})"


def _lacking(group: Group) -> Iterator[Block]:
    """Numbers that some finished runs do not have, or not finite."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for name, column in group.columns.items():
        runs = tuple(group.records[i].name for i in np.flatnonzero(~np.isfinite(column)).tolist())
        if runs:
            lacking.setdefault(runs, []).append(title(name))
    for missing, names in lacking.items():
        text = f"{', '.join(names)}: no finite number in {len(missing):,} of "
        yield Words(f"{text}{len(group.records):,} finished runs, {listed(missing)}.", "small")
