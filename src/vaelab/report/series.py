"""Cells in the order of a setting: the lines of plots."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vaelab.report.groups import Cell, Floats, Group, sortable
from vaelab.report.labels import cell_name
from vaelab.report.settings import is_numeric

MAX_LINES = 7  # colours that tell lines apart


class Trail(NamedTuple):
    """Cells that agree in all settings but one, in its order.

    pooled: each "cell" holds all runs of a value of that setting, whatever the others are.
    """

    name: str
    x: Floats
    cells: Sequence[Cell]
    pooled: bool = False


def numeric_settings(group: Group) -> list[str]:
    """Those that can be an axis: beta first."""
    return [name for name, values in group.varied.items() if is_numeric(values)]


def trails(group: Group, setting: str) -> list[Trail]:
    """Cells along a setting, a trail for each combination of the others; of many a pool."""
    members = defaultdict(list)
    for cell in group.cells:
        if len(cell.rows) and cell.settings[setting] is not None:
            rest = {k: v for k, v in cell.settings.items() if k != setting}
            members[cell_name(rest)].append(cell)
    pooled = len(members) > MAX_LINES
    if pooled:
        members = defaultdict(list, {"all settings": _pooled(group, setting)})
    found = []
    for name, cells in members.items():
        ordered = sorted(cells, key=lambda cell: sortable(cell.settings[setting]))
        x = np.array([float(cell.settings[setting]) for cell in ordered])
        found.append(Trail(name, x, ordered, pooled))
    return found


def _pooled(group: Group, setting: str) -> list[Cell]:
    """One cell a value of the setting, whatever the others are."""
    values = np.array([np.nan if v is None else float(v) for v in group.varied[setting]])
    known = np.unique(values[np.isfinite(values)])
    rows = {value: np.flatnonzero(values == value) for value in known.tolist()}
    return [Cell({setting: value}, one, len(one)) for value, one in rows.items()]
