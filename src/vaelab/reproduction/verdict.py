"""Measured numbers beside what was expected of them, and the verdict of a target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vaelab.reproduction.expectations import Expectation, Source
from vaelab.runs.statistics import Floats, bootstrap

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
    """A measured number, the range expected of it, both ends included, and the range's source.

    Attributes:
        name: of the number.
        measured: NaN where it could not be measured. Whether it is within the range depends on
            this only, and not on its interval.
        low, high: the range; infinite where one side is not restricted.
        expected: the range as text.
        source: of the range.
        interval: uncertainty of `measured`, where it is known.
        num_runs: the number of runs that `measured` is the median of.
    """

    name: str
    measured: float
    low: float
    high: float
    expected: str
    source: Source
    interval: Interval | None = None
    num_runs: int = 1

    @property
    def within(self) -> bool:
        """Whether low <= measured <= high."""
        return self.low <= self.measured <= self.high

    @property
    def decides(self) -> bool:
        """Whether the verdict of the target depends on this number."""
        return self.source.decides

    @property
    def word(self) -> str:
        """reached or MISSED; of an estimate, within estimate or outside estimate."""
        if self.decides:
            return "reached" if self.within else "MISSED"
        return "within estimate" if self.within else "outside estimate"

    def format(self, word: str) -> str:
        """A line of the report, `word` first."""
        number = format_number(self.measured, self.interval)
        source = f"{self.source.kind} ({self.source.name})"
        return f"  {word:<16} {self.name:<48} {number:>28}   {source:<26} expected {self.expected}"

    def __str__(self) -> str:
        return self.format(self.word)


@dataclass(frozen=True)
class Outcome:
    """The verdict of a target, on each of its numbers and as a whole.

    Attributes:
        name: of the target.
        verdicts: one per expected number.
        failures: sentences about runs that did not finish; the verdicts are about the others.
        seeds: of the runs.
        smoke: the runs were made small, and so nothing is compared.
        unmeasured: names in the YAML file of the target under which nothing was measured.
        seconds: of training and evaluation, summed over the runs.
    """

    name: str
    verdicts: Sequence[Verdict]
    failures: Sequence[str] = ()
    seeds: Sequence[str] = ()
    smoke: bool = False
    unmeasured: Sequence[str] = ()
    seconds: float = math.nan

    @property
    def deciding(self) -> list[Verdict]:
        """The numbers that decide: those whose range is not an estimate."""
        return [one for one in self.verdicts if one.decides]

    @property
    def reached(self) -> str:
        """Such as "3 of 4", of the deciding numbers."""
        return _count(self.deciding)

    @property
    def within_estimate(self) -> str:
        """Such as "0 of 1", of the numbers with an estimated range."""
        return _count([one for one in self.verdicts if not one.decides])

    @property
    def word(self) -> str:
        """smoke, incomplete, inconclusive (estimates only), reached or NOT reached."""
        if self.smoke:
            return "smoke"
        if self.failures:
            return "incomplete"
        if not self.deciding:
            return "inconclusive"
        return "reached" if all(one.within for one in self.deciding) else "NOT reached"

    @property
    def exit_code(self) -> int:
        """2 if runs did not finish, 1 if a number was missed or has an unknown name, else 0."""
        return 2 if self.failures else int(self.word == "NOT reached" or bool(self.unmeasured))

    def __str__(self) -> str:
        lines = [one.format("") if self.smoke else str(one) for one in self.verdicts]
        lines += [f"  MISSING  {sentence}" for sentence in self.failures]
        lines += [f"  UNKNOWN  {name}: nothing was measured under that name"
                  for name in self.unmeasured]  # fmt: skip
        sources = dict.fromkeys(one.source for one in self.verdicts)
        lines += [f"  {one.kind} ({one.name}): {one.citation}" for one in sources]
        return "\n".join([*lines, f"{self.name.upper()} {self.word}: {self._summary()}"])

    def _summary(self) -> str:
        if self.smoke:
            return f"{len(self.verdicts)} numbers of small runs, not compared"
        counts = [f"{self.reached} numbers"] if self.deciding else ["estimates only"]
        if len(self.deciding) < len(self.verdicts):
            counts.append(f"{self.within_estimate} within their estimate")
        return ", ".join(counts)


def compare(expectation: Expectation, measurement: Measurement) -> Verdict:
    """The measured number beside what was expected of it."""
    return Verdict(
        expectation.name, measurement.value, expectation.low, expectation.high, expectation.text,
        expectation.source, measurement.interval, measurement.num_runs,
    )  # fmt: skip


def format_number(value: float, interval: Interval | None = None) -> str:
    """A number as it is printed: 14,196,517 or 0.335 [0.315, 0.344]."""
    if interval is None:
        return f"{value:,.9g}"
    return f"{value:,.4g} [{interval[0]:,.4g}, {interval[1]:,.4g}]"


def _count(verdicts: Sequence[Verdict]) -> str:
    return f"{sum(one.within for one in verdicts)} of {len(verdicts)}"
