"""The runs of a sweep as numbers: groups whose ELBOs compare, and cells that differ in the seed."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaelab.report.labels import value_name
from vaelab.report.run_record import Record
from vaelab.report.settings import comparison, differing, settings
from vaelab.runs.config_hash import SEED, key, without
from vaelab.runs.statistics import bootstrap
from vaelab.runs.status import State

Floats = NDArray[np.float64]
STATISTICS: dict[str, Callable[..., Any]] = {"median": np.median, "mean": np.mean}
MAIN = ("elbo", "reconstruction", "kl", "active_units")


class Spread(NamedTuple):
    """A number over the runs of a cell: n of them have it, the interval is that of 95 %."""

    n: int
    value: float
    interval: tuple[float, float] | None


class Cell(NamedTuple):
    """Runs that agree in all settings but the seed.

    settings: those that differ between cells;  rows: of its finished runs;  num_runs: of all.
    """

    settings: dict[str, Any]
    rows: NDArray[np.int64]
    num_runs: int


@dataclass(frozen=True)
class Group:
    """Runs whose ELBOs compare: of the same images and splits, likelihood and kind of pixels.

    Attributes:
        label: what tells the group from others; "" where there is one.
        records: its finished runs.
        rows: the settings of each of these, then those of the others.
        statistic: "median" or "mean", of the runs of a cell.
    """

    label: str
    records: Sequence[Record]
    rows: Sequence[dict[str, Any]]
    statistic: str

    @cached_property
    def _columns_of_settings(self) -> dict[str, list[Any]]:
        varied = differing(self.rows, but=SEED)
        return dict(sorted(varied.items(), key=lambda item: not item[0].endswith("beta")))

    @cached_property
    def varied(self) -> dict[str, list[Any]]:
        """Settings that differ, but for the seed, in each finished run: beta first."""
        num = len(self.records)
        return {name: values[:num] for name, values in self._columns_of_settings.items()}

    @cached_property
    def split(self) -> str:
        """ "test" where all runs have been tested, else "val": numbers of one split compare."""
        return "test" if all(record.split == "test" for record in self.records) else "val"

    @cached_property
    def columns(self) -> dict[str, Floats]:
        """Number -> its value in each run, nan where there is none: the main ones, all metrics."""
        measured = dict.fromkeys(key for record in self.records for key in record.measured)
        keys = {name: f"{self.split}/{name}" for name in MAIN} | {key: key for key in measured}
        columns = {name: self.column(key) for name, key in keys.items()}
        return {name: values for name, values in columns.items() if not np.isnan(values).all()}

    def column(self, key: str) -> Floats:
        """A number of metrics.json in each run, nan where there is none."""
        return np.array([record.metrics.get(key, np.nan) for record in self.records])

    @cached_property
    def cells(self) -> list[Cell]:
        """In the order of their settings."""
        members = defaultdict(list)
        for i, row in enumerate(self.rows):
            members[key(without(row, SEED))].append(i)
        cells = [
            Cell(
                {name: values[rows[0]] for name, values in self._columns_of_settings.items()},
                np.array([row for row in rows if row < len(self.records)], np.int64),
                len(rows),
            )
            for rows in members.values()
        ]
        return sorted(cells, key=lambda cell: [sortable(v) for v in cell.settings.values()])

    def spread(self, values: Floats) -> Spread:
        """The statistic of those values that are finite, over seeds."""
        return spread(values, self.statistic)


def spread(values: Floats, statistic: str) -> Spread:
    """The statistic of those values that are finite, with its bootstrap interval."""
    return _spread(values[np.isfinite(values)].tobytes(), statistic)


@lru_cache(maxsize=100_000)  # tables, plots and cells.csv ask for the same
def _spread(content: bytes, statistic: str) -> Spread:
    kept = np.frombuffer(content)
    function = STATISTICS[statistic]
    value = float(function(kept)) if len(kept) else float("nan")
    return Spread(len(kept), value, bootstrap(kept, function))


def groups(records: Sequence[Record], statistic: str = "median") -> list[Group]:
    """The runs, those together whose ELBOs compare, as far as any of them has finished."""
    members = defaultdict(list)
    # Finished ones first, as `Group.rows` has them.
    for record in sorted(records, key=lambda record: record.state != State.FINISHED):
        row = settings(record)
        group = key(comparison(row))
        if record.state == State.FINISHED or group in members:
            members[group].append((record, row))
    told = differing([comparison(runs[0][1]) for runs in members.values()])
    return [
        Group(
            _label({name: values[i] for name, values in told.items()}),
            [record for record, _ in runs if record.state == State.FINISHED],
            [row for _, row in runs],
            statistic,
        )
        for i, runs in enumerate(members.values())
    ]


def _label(told: dict[str, Any]) -> str:
    """What tells a group from others; settings that it lacks only where it has none of them."""
    given = {name: value for name, value in told.items() if value is not None} or told
    return ", ".join(value_name(name, value) for name, value in given.items())


def sortable(value: Any) -> tuple[int, float, str]:
    """Numbers by size, then words."""
    is_number = isinstance(value, int | float)
    return (0, float(value), "") if is_number else (1, 0.0, str(value))
