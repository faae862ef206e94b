"""The settings of runs: those that a reader compares by, under names short enough for a table."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vaelab.report.run_record import Record
from vaelab.runs.config_hash import NO_EFFECT_ON_NUMBERS, canonical, without

COMPARED = ("data", "likelihood", "pixels")  # what ELBOs must share to compare,
SAME_IMAGES = ("data.url",)  # with all settings of the data but where they are fetched from
NAMES = {"BetaVAE": "beta-VAE", "DSprites": "dSprites", "FashionMNIST": "Fashion-MNIST"}


class ClassPath(str):
    """The full name of a class, of which a reader sees the last part: see `shown`."""


def settings(record: Record) -> dict[str, Any]:
    """All settings with dotted names that may change a number; classes as `ClassPath`."""
    return {
        key.removesuffix("._target_"): _value(key, value)
        for key, value in without(canonical(record.config), NO_EFFECT_ON_NUMBERS).items()
        if not key.endswith("_partial_")
    }


def _value(key: str, value: Any) -> Any:
    if key.endswith("._target_"):
        return ClassPath(value)
    return str(value) if isinstance(value, list) else value


def shown(value: Any) -> Any:
    """A class by its last name, anything else as it is."""
    return value.rpartition(".")[2] if isinstance(value, ClassPath) else value


def differing(rows: Sequence[Mapping[str, Any]], but: Collection[str] = ()) -> dict[str, list[Any]]:
    """Setting -> its value in each run, for those that are not the same in all.

    Settings that differ in the same way, such as model.hidden and what is interpolated from it,
    are one column, under the shortest name. Those of a part that differs as a whole, such as
    data.num_val of other data, are left out where the part tells them. A run without the setting
    has None. Classes have their last names, unless two of a column share one.

    Args:
        rows: `settings` of each run.
        but: settings that are no columns, such as the seed.
    """
    names = sorted({name for row in rows for name in row}, key=lambda name: (len(name), name))
    columns: dict[str, list[Any]] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        same = all(value == values[0] for value in values)
        if same or name in but or values in columns.values():
            continue
        parts = [column for part, column in columns.items() if name.startswith(f"{part}.")]
        if not any(_tells(part, values) for part in parts):
            columns[name] = values
    return {name: _shortened(values) for name, values in columns.items()}


def _shortened(values: list[Any]) -> list[Any]:
    classes = {value for value in values if isinstance(value, ClassPath)}
    return list(map(shown, values)) if len(set(map(shown, classes))) == len(classes) else values


def _tells(part: Sequence[Any], values: Sequence[Any]) -> bool:
    """Whether runs of the same part always have the same value."""
    known: dict[Any, Any] = {}
    return all(known.setdefault(p, v) == v for p, v in zip(part, values, strict=True))


def comparison(row: Mapping[str, Any]) -> dict[str, Any]:
    """What two runs must share for their ELBOs to compare: likelihood, pixels, and the data.

    Of the data all settings: they say which images there are, and which of them are held out.
    """
    return {
        name: value
        for name, value in row.items()
        if (name in COMPARED or name.startswith("data.")) and name not in SAME_IMAGES
    }


def is_numeric(values: Sequence[Any]) -> bool:
    """Whether a setting can be an axis: numbers, or none, of which at least two differ."""
    given = [v for v in values if v is not None]
    numbers = [v for v in given if isinstance(v, int | float) and not isinstance(v, bool)]
    return len(numbers) == len(given) and len(set(numbers)) > 1
