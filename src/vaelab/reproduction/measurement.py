"""A measured number with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vaelab.runs.statistics import Floats, bootstrap

Interval = tuple[float, float]


@dataclass(frozen=True)
class Number:
    """A number of one run, or the median over several.

    Attributes:
        value: NaN where it could not be measured.
        interval: 95 %, over the runs by bootstrap, or of the images of a single one.
        values: that of each run, by what tells the run from the others, such as "seed=0".
    """

    value: float
    interval: Interval | None = None
    values: Mapping[str, float] = field(default_factory=dict, repr=False)

    @property
    def num_runs(self) -> int:
        """How many runs it was measured on; 1 for what needs none."""
        return max(1, len(self.values))

    def __sub__(self, other: Number) -> Number:
        """The difference of two; with an interval where both have runs of the same seeds.

        Those are resampled in pairs, which leaves what seeds have in common out of the interval.
        """
        pairs = {
            key: a - other.values[key] for key, a in self.values.items() if key in other.values
        }
        if self.values.keys() != other.values.keys():
            return Number(self.value - other.value, None, pairs)
        before, after = (np.array([one.values[k] for k in pairs]) for one in (other, self))

        def difference(rows: Floats, axis: int) -> Floats:
            drawn = rows.astype(int)
            gap: Floats = np.median(after[drawn], axis) - np.median(before[drawn], axis)
            return gap

        finite = bool(np.isfinite(after - before).all())
        interval = bootstrap(np.arange(len(pairs)), difference) if finite else None
        return Number(self.value - other.value, interval, pairs)


def median_of(values: Mapping[str, float], own: Interval | None = None) -> Number:
    """The median over runs with its bootstrap interval; of a single run with its `own`.

    NaN if that of any run is, which then has no place in an order.
    """
    middle = float(np.median(list(values.values())))
    if len(values) == 1:
        return Number(middle, own, values)
    if not all(map(math.isfinite, values.values())):
        return Number(middle, None, values)
    return Number(middle, bootstrap(list(values.values()), np.median), values)
