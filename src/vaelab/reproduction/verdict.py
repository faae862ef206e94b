"""A measured number beside its expectation, and the outcome of a target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vaelab.errors import require
from vaelab.runs.statistics import Floats, bootstrap

BOUNDS = ("at_least", "above", "at_most", "below")
Interval = tuple[float, float]


@dataclass(frozen=True)
class Measurement:
    """A number of one run, or the median over several.

    Attributes:
        value: NaN where it could not be measured.
        interval: 95 %, by bootstrap over the runs, or over the images of a single run.
        values: of each run, under the settings in which it differs, such as "seed=0".
    """

    value: float
    interval: Interval | None = None
    values: Mapping[str, float] = field(default_factory=dict, repr=False)

    @property
    def num_runs(self) -> int:
        """The number of runs it was measured on; 1 for what needs none."""
        return max(1, len(self.values))

    def __sub__(self, other: Measurement) -> Measurement:
        """The difference of two, with an interval where both have runs of the same seeds.

        These are resampled in pairs, so that variation shared by a seed is not in the interval.
        """
        pairs = {
            key: a - other.values[key] for key, a in self.values.items() if key in other.values
        }
        if self.values.keys() != other.values.keys():
            return Measurement(self.value - other.value, None, pairs)
        before, after = (np.array([one.values[k] for k in pairs]) for one in (other, self))

        def difference(rows: Floats, axis: int) -> Floats:
            drawn = rows.astype(int)
            gap: Floats = np.median(after[drawn], axis) - np.median(before[drawn], axis)
            return gap

        finite = bool(np.isfinite(after - before).all())
        interval = bootstrap(np.arange(len(pairs)), difference) if finite else None
        return Measurement(self.value - other.value, interval, pairs)


@dataclass(frozen=True)
class Verdict:
    """A measured number and the range in which it counts as reached, both ends included.

    Attributes:
        name: of the number.
        measured: NaN where it could not be measured. The verdict depends on it only.
        low, high: the range; infinite where one side is not restricted.
        expected: the range as text.
        interval: uncertainty of `measured`, where it is known.
        num_runs: the number of runs that `measured` is the median of.
    """

    name: str
    measured: float
    low: float
    high: float
    expected: str
    interval: Interval | None = None
    num_runs: int = 1

    @property
    def reached(self) -> bool:
        """Whether low <= measured <= high."""
        return self.low <= self.measured <= self.high

    def format(self, word: str) -> str:
        """A line of the report, `word` first."""
        number = format_number(self.measured, self.interval)
        return f"  {word:<8} {self.name:<48} {number:>28}   expected {self.expected}"

    def __str__(self) -> str:
        return self.format("reached" if self.reached else "MISSED")


@dataclass(frozen=True)
class Outcome:
    """The verdicts of a target.

    Attributes:
        name: of the target.
        verdicts: one per expected number.
        failures: sentences about runs that did not finish; the verdicts are about the others.
        seeds: of the runs.
        smoke: the runs were made small, and so nothing is compared.
        unmeasured: names in the YAML file of the target under which nothing was measured.
    """

    name: str
    verdicts: Sequence[Verdict]
    failures: Sequence[str] = ()
    seeds: Sequence[str] = ()
    smoke: bool = False
    unmeasured: Sequence[str] = ()

    @property
    def num_reached(self) -> int:
        """The number of numbers within their range."""
        return sum(one.reached for one in self.verdicts)

    @property
    def word(self) -> str:
        """smoke, incomplete, reached or NOT reached."""
        if self.smoke:
            return "smoke"
        if self.failures:
            return "incomplete"
        return "reached" if self.num_reached == len(self.verdicts) else "NOT reached"

    @property
    def exit_code(self) -> int:
        """2 if runs did not finish, 1 if a number was missed or has an unknown name, else 0."""
        return 2 if self.failures else int(self.word == "NOT reached" or bool(self.unmeasured))

    def __str__(self) -> str:
        lines = [one.format("") if self.smoke else str(one) for one in self.verdicts]
        lines += [f"  MISSING  {sentence}" for sentence in self.failures]
        lines += [f"  UNKNOWN  {name}: nothing was measured under that name"
                  for name in self.unmeasured]  # fmt: skip
        count = f"{self.num_reached} of {len(self.verdicts)} numbers"
        if self.smoke:
            count = f"{len(self.verdicts)} numbers of small runs, not compared"
        return "\n".join([*lines, f"{self.name.upper()} {self.word}: {count}"])


def compare(row: Mapping[str, Any], name: str, measurement: Measurement) -> Verdict:
    """The verdict for a row of `target.expected`: `value` and `tolerance`, or one or two `BOUNDS`.

    `above` and `below` exclude the number that they name.

    Raises:
        UserError: a row without any of these.
    """
    if "value" in row:
        value, tolerance = float(row["value"]), float(row["tolerance"])
        low, high, text = value - tolerance, value + tolerance, f"{value:,.10g} +- {tolerance:g}"
    else:
        ends = {bound: float(row[bound]) for bound in BOUNDS if bound in row}
        require(
            bool(ends),
            f"target.expected expects value and tolerance, or some of {', '.join(BOUNDS)}, got "
            f"{dict(row)}; add what {name} should be.",
        )
        low, high = ends.get("at_least", -math.inf), ends.get("at_most", math.inf)
        if "above" in ends:
            low = math.nextafter(ends["above"], math.inf)
        if "below" in ends:
            high = math.nextafter(ends["below"], -math.inf)
        text = ", ".join(f"{bound.replace('_', ' ')} {end:,.10g}" for bound, end in ends.items())
    return Verdict(
        name, measurement.value, low, high, text, measurement.interval, measurement.num_runs
    )


def format_number(value: float, interval: Interval | None = None) -> str:
    """A number as it is printed: 14,196,517 or 0.335 [0.315, 0.344]."""
    if interval is None:
        return f"{value:,.9g}"
    return f"{value:,.4g} [{interval[0]:,.4g}, {interval[1]:,.4g}]"
