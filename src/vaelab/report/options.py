"""The options of runs: which of them differ, which must agree, and which runs are reported on."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vaelab.errors import UserError, nearest
from vaelab.report.run_record import Record
from vaelab.runs.config_hash import NO_EFFECT_ON_NUMBERS, canonical, without

# Must agree for ELBOs to be comparable.
COMPARED = ("data", "likelihood", "pixels", "condition", "condition.factors")


class ClassPath(str):
    """The full name of a class, of which a reader sees the last part: see `shorten`."""


def read_options(record: Record) -> dict[str, Any]:
    """All options that may change a number, under dotted names; classes as `ClassPath`."""
    return {
        key.removesuffix("._target_"): _read_value(key, value)
        for key, value in without(canonical(record.config), NO_EFFECT_ON_NUMBERS).items()
        if not key.endswith("_partial_")
    }


def _read_value(key: str, value: Any) -> Any:
    if key.endswith("._target_"):
        return ClassPath(value)
    return str(value) if isinstance(value, list) else value


def shorten(value: Any) -> Any:
    """A class as its last name, anything else as it is."""
    return value.rpartition(".")[2] if isinstance(value, ClassPath) else value


def find_varied(
    rows: Sequence[Mapping[str, Any]], ignore: Collection[str] = ()
) -> dict[str, list[Any]]:
    """Option -> its value in each run, for the options that differ between runs.

    Options that differ in the same way, such as model.hidden and what is interpolated from it, are
    one column, under the shortest name. Options below another one that differs, such as
    data.num_val below data, are left out where that one determines them. The value of a run
    without the option is None. Classes have their last names, unless two of a column share one.

    Args:
        rows: `read_options` of each run.
        ignore: options that get no column, such as the seed.
    """
    names = sorted({name for row in rows for name in row}, key=lambda name: (len(name), name))
    columns: dict[str, list[Any]] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        same = all(value == values[0] for value in values)
        if same or name in ignore or values in columns.values():
            continue
        above = [column for option, column in columns.items() if name.startswith(f"{option}.")]
        if not any(_determines(column, values) for column in above):
            columns[name] = values
    return {name: _shorten_column(values) for name, values in columns.items()}


def _shorten_column(values: list[Any]) -> list[Any]:
    classes = {value for value in values if isinstance(value, ClassPath)}
    return list(map(shorten, values)) if len(set(map(shorten, classes))) == len(classes) else values


def _determines(column: Sequence[Any], values: Sequence[Any]) -> bool:
    """Whether runs that agree in `column` always agree in `values`."""
    known: dict[Any, Any] = {}
    return all(known.setdefault(c, v) == v for c, v in zip(column, values, strict=True))


def select_comparable(row: Mapping[str, Any]) -> dict[str, Any]:
    """The options in which two runs must agree for their ELBOs to be comparable.

    Likelihood, pixels, what p(x|y) is conditioned on, and all options of the data: they determine
    which images there are, and which of them are held out.
    """
    return {
        name: value for name, value in row.items() if name in COMPARED or name.startswith("data.")
    }


def is_numeric(values: Sequence[Any]) -> bool:
    """Whether an option can be an axis: numbers, or None, of which at least two differ."""
    given = [v for v in values if v is not None]
    numbers = [v for v in given if isinstance(v, int | float) and not isinstance(v, bool)]
    return len(numbers) == len(given) and len(set(numbers)) > 1


def filter_runs(records: Sequence[Record], conditions: Sequence[str]) -> list[Record]:
    """The runs that satisfy all conditions such as objective.beta=4.

    Classes may be named as for train.py, data=fashion_mnist, or in full.

    Raises:
        UserError: no run has the option, or none of the runs has the value.
    """
    rows = [read_options(record) for record in records]
    kept = list(range(len(records)))
    for condition in conditions:
        name, equals, value = condition.partition("=")
        known = {key for row in rows for key in row}
        if not equals or name not in known:
            near = nearest(name, known)
            raise UserError(
                f"where expects option=value, got {condition!r}, and no run has an option "
                f"{name!r}; {f'did you mean {near}?' if near else 'see config.yaml of a run.'}"
            )
        values = sorted({str(shorten(rows[i].get(name))) for i in kept})
        kept = [i for i in kept if _is_same(rows[i].get(name), value)]
        if not kept:
            raise UserError(
                f"where expects a value that runs have, got {condition}; {name} is "
                f"{', '.join(values[:10])}: choose one of these."
            )
    return [records[i] for i in kept]


def _is_same(value: Any, typed: str) -> bool:
    try:
        return float(value) == float(typed)
    except (TypeError, ValueError):
        return _normalise(typed) in (_normalise(value), _normalise(shorten(value)))


def _normalise(value: Any) -> str:
    return str(value).lower().replace("_", "")
