"""The settings of runs: those that a reader compares by, under names short enough for a table."""

from collections.abc import Sequence
from typing import Any

from vaelab import build
from vaelab.report.record import Record

# Where a run lies, how fast it went and what it drew change none of its numbers.
ELSEWHERE = ("name", "run_dir", "output_root", "data_root", "resume", "target", "num_threads")
GROUPS = ("callbacks.", "logger.", "hydra.")


def settings(record: Record) -> dict[str, Any]:
    """All settings with dotted names that may change a number; classes by their short names."""
    flat = build.flatten(record.config)
    chosen = {k: v for k, v in flat.items() if k not in ELSEWHERE and not k.startswith(GROUPS)}
    return {
        key.removesuffix("._target_"): str(value).rpartition(".")[2]
        if key.endswith("._target_")
        else value
        for key, value in chosen.items()
        if not key.endswith("_partial_")
    }


def differing(records: Sequence[Record]) -> dict[str, list[Any]]:
    """Setting -> its value in each run, for those that are not the same in all.

    Settings that differ in the same way, such as model.hidden and what is interpolated from it,
    are one column, under the shortest name; those of a part that differs as a whole, such as
    data.num_val of other data, are left out. A run without the setting has None.
    """
    rows = [settings(record) for record in records]
    names = sorted({name for row in rows for name in row}, key=lambda name: (len(name), name))
    columns: dict[str, list[Any]] = {}
    for name in names:
        if any(name.startswith(f"{part}.") for part in columns):
            continue
        values = [row.get(name) for row in rows]
        same = all(value == values[0] for value in values)
        if not same and values not in columns.values():
            columns[name] = values
    return columns


def comparable(records: Sequence[Record]) -> bool:
    """Whether their ELBOs can be compared: one data set, one likelihood."""
    rows = [settings(record) for record in records]
    return len({(row.get("data"), row.get("likelihood"), row.get("pixels")) for row in rows}) == 1


def is_numeric(values: Sequence[Any]) -> bool:
    """Whether a setting can be an axis: numbers, of which at least two differ."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return len(numbers) == len(values) and len(set(numbers)) > 1
