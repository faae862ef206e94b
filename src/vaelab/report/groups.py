"""Runs as numbers: groups whose ELBOs are comparable, and in them settings over their seeds."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaelab.report.blocks import Text
from vaelab.report.formatting import format_interval, format_value
from vaelab.report.options import find_varied, read_options, select_comparable
from vaelab.report.run_record import Record
from vaelab.runs.config_hash import SEEDS, key, without
from vaelab.runs.statistics import bootstrap

Floats = NDArray[np.float64]
STATISTICS: dict[str, Callable[..., Any]] = {"median": np.median, "mean": np.mean}
SEED_NAMES = {"seed": "seeds", "labels.seed": "label seeds"}
MAIN = ("elbo", "reconstruction", "kl", "active_units")
MIN_BOOTSTRAP = 4  # runs; of fewer the range is shown, which a bootstrap interval of 95 % is not


class Spread(NamedTuple):
    """A number over the n runs of a setting that have it.

    value:   its mean or median.
    bounds:  the 95 % bootstrap interval; with two or three runs the smallest and largest value
             (`is_range`); None with one run.
    """

    n: int
    value: float
    bounds: tuple[float, float] | None
    is_range: bool

    def format(self, digits: int = 4) -> Text:
        """0.12 [0.10, 0.14], or with few runs 0.12 (0.10 to 0.14)."""
        return format_interval(self.value, self.bounds, digits, self.is_range)


class Setting(NamedTuple):
    """One combination of option values, over its seeds.

    options: those that differ between settings;  rows: of its finished runs;  num_runs: of all;
    num_seeds: seed and labels.seed -> how many values of it its finished runs have. labels.seed
    counts once where all labels are known, since it chooses nothing there.
    """

    options: dict[str, Any]
    rows: NDArray[np.int64]
    num_runs: int
    num_seeds: dict[str, int]


@dataclass(frozen=True)
class Group:
    """Runs whose ELBOs are comparable: the same images and splits, likelihood and pixels.

    Attributes:
        label: what distinguishes the group from the others; "" where there is one group.
        records: its finished runs.
        rows: the options of these runs, then those of the other runs.
        statistic: "median" or "mean", over the seeds of a setting.
    """

    label: str
    records: Sequence[Record]
    rows: Sequence[dict[str, Any]]
    statistic: str

    @cached_property
    def _option_columns(self) -> dict[str, list[Any]]:
        varied = find_varied(self.rows, ignore=SEEDS)
        return dict(sorted(varied.items(), key=lambda item: not item[0].endswith("beta")))

    @cached_property
    def varied(self) -> dict[str, list[Any]]:
        """Option -> its value in each finished run, for options that differ; beta comes first."""
        num = len(self.records)
        return {name: values[:num] for name, values in self._option_columns.items()}

    @cached_property
    def split(self) -> str:
        """ "test" where all runs have been tested, else "val", so that runs are comparable."""
        return "test" if all(record.split == "test" for record in self.records) else "val"

    @cached_property
    def columns(self) -> dict[str, Floats]:
        """Metric -> its value in each run, nan where missing: the main ones, then all scores."""
        scores = dict.fromkeys(key for record in self.records for key in record.measured)
        keys = {name: f"{self.split}/{name}" for name in MAIN} | {key: key for key in scores}
        columns = {name: self.column(key) for name, key in keys.items()}
        return {name: values for name, values in columns.items() if not np.isnan(values).all()}

    def column(self, key: str) -> Floats:
        """A number of metrics.json in each run, nan where missing."""
        return np.array([record.metrics.get(key, np.nan) for record in self.records])

    @cached_property
    def settings(self) -> list[Setting]:
        """All settings, in order of their options."""
        members = defaultdict(list)
        for i, row in enumerate(self.rows):
            members[key(without(row, SEEDS))].append(i)
        settings = [
            Setting(
                {name: values[rows[0]] for name, values in self._option_columns.items()},
                np.array(finished, np.int64),
                len(rows),
                {name: self._count_seeds(name, finished) for name in SEEDS},
            )
            for rows in members.values()
            for finished in [[row for row in rows if row < len(self.records)]]
        ]
        return sorted(settings, key=lambda one: [sort_key(v) for v in one.options.values()])

    def _count_seeds(self, name: str, rows: Iterable[int]) -> int:
        """How many values of seed or labels.seed the runs in rows have, at least one."""
        known = [row for row in map(self.rows.__getitem__, rows) if _depends_on(row, name)]
        return max(1, len({row.get(name) for row in known}))

    def seeds(self, row: int) -> tuple[Any, ...]:
        """The seed and labels.seed of a run, by which runs of two settings are paired."""
        return tuple(self.rows[row].get(name) for name in SEEDS)

    @cached_property
    def seed_names(self) -> str:
        """What the runs of its settings differ in: "seeds", "label seeds", or both."""
        varied = [name for name in SEEDS if self._count_seeds(name, range(len(self.rows))) > 1]
        return " and ".join(SEED_NAMES[name] for name in varied) or SEED_NAMES["seed"]

    def spread(self, values: Floats) -> Spread:
        """The statistic of the finite values of a setting, with its interval."""
        return summarize(values, self.statistic)


def _depends_on(row: Mapping[str, Any], name: str) -> bool:
    """Whether a seed changes anything: labels.seed chooses nothing where all labels are known."""
    return name != "labels.seed" or row.get("labels.num") is not None


def summarize(values: Floats, statistic: str) -> Spread:
    """The median or mean of the finite values, with its interval over runs."""
    return _summarize(values[np.isfinite(values)].tobytes(), statistic)


@lru_cache(maxsize=100_000)  # tables, figures and settings.csv ask for the same
def _summarize(content: bytes, statistic: str) -> Spread:
    kept = np.frombuffer(content)
    function = STATISTICS[statistic]
    value = float(function(kept)) if len(kept) else float("nan")
    if 2 <= len(kept) < MIN_BOOTSTRAP:
        return Spread(len(kept), value, (float(kept.min()), float(kept.max())), True)
    return Spread(len(kept), value, bootstrap(kept, function), False)


def group_runs(records: Sequence[Record], statistic: str = "median") -> list[Group]:
    """Group runs whose ELBOs are comparable; a group without a finished run is left out.

    Runs that a callback such as EarlyStopping stopped count as finished.
    """
    members = defaultdict(list)
    # Finished runs first, as in `Group.rows`.
    for record in sorted(records, key=lambda record: not record.state.is_trained):
        row = read_options(record)
        group = key(select_comparable(row))
        if record.state.is_trained or group in members:
            members[group].append((record, row))
    varied = find_varied([select_comparable(runs[0][1]) for runs in members.values()])
    return [
        Group(
            _label({name: values[i] for name, values in varied.items()}),
            [record for record, _ in runs if record.state.is_trained],
            [row for _, row in runs],
            statistic,
        )
        for i, runs in enumerate(members.values())
    ]


def _label(options: dict[str, Any]) -> str:
    """What distinguishes a group; options that it lacks only where it has none of them."""
    given = {name: value for name, value in options.items() if value is not None} or options
    return ", ".join(format_value(name, value) for name, value in given.items())


def sort_key(value: Any) -> tuple[int, float, str]:
    """Numbers by size, then everything else as text."""
    is_number = isinstance(value, int | float)
    return (0, float(value), "") if is_number else (1, 0.0, str(value))
