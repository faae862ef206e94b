"""One measured number beside what was expected of it, and the outcome of a target."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaelab.reproduction.measurement import Interval, Number

SIDES = ("at_least", "above", "at_most", "below")


@dataclass(frozen=True)
class Verdict:
    """A number and the range that counts as reached, both ends included.

    Attributes:
        name: what was measured.
        measured: NaN where it could not be. It alone decides.
        low, high: the range; infinite where only one side is asked for.
        expected: the range in words.
        interval: how far off `measured` may be by chance, where that is known.
        num_runs: how many runs `measured` is the median of.
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

    def line(self, word: str) -> str:
        """A line of the report, `word` first."""
        number = shown(self.measured, self.interval)
        return f"  {word:<8} {self.name:<48} {number:>28}   expected {self.expected}"

    def __str__(self) -> str:
        return self.line("reached" if self.reached else "MISSED")


@dataclass(frozen=True)
class Outcome:
    """What became of a target.

    Attributes:
        name: of the target.
        verdicts: one a number.
        failures: sentences about runs that did not finish; what there is was measured without.
        seeds: of the runs.
        smoke: nothing is judged, since the runs were made small.
        absent: names in the target's file that nothing was measured under.
    """

    name: str
    verdicts: Sequence[Verdict]
    failures: Sequence[str] = ()
    seeds: Sequence[str] = ()
    smoke: bool = False
    absent: Sequence[str] = ()

    @property
    def num_reached(self) -> int:
        """How many numbers were."""
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
        """2 if runs did not finish, 1 if numbers were missed or are no numbers at all, else 0."""
        return 2 if self.failures else int(self.word == "NOT reached" or bool(self.absent))

    def __str__(self) -> str:
        lines = [one.line("") if self.smoke else str(one) for one in self.verdicts]
        lines += [f"  MISSING  {sentence}" for sentence in self.failures]
        lines += [f"  ABSENT   {name}: nothing of that name was measured" for name in self.absent]
        of = f"{self.num_reached} of {len(self.verdicts)} numbers"
        if self.smoke:
            of = f"{len(self.verdicts)} numbers of small runs, not judged"
        return "\n".join([*lines, f"{self.name.upper()} {self.word}: {of}"])


def verdict(row: Mapping[str, Any], name: str, number: Number) -> Verdict:
    """From a row of `target.expected`: `value` and `tolerance`, or one or two of `SIDES`.

    `above` and `below` leave out the number that they name.
    """
    if "value" in row:
        value, tolerance = float(row["value"]), float(row["tolerance"])
        low, high, words = value - tolerance, value + tolerance, f"{value:,.10g} +- {tolerance:g}"
    else:
        ends = {side: float(row[side]) for side in SIDES if side in row}
        low, high = ends.get("at_least", -math.inf), ends.get("at_most", math.inf)
        if "above" in ends:
            low = math.nextafter(ends["above"], math.inf)
        if "below" in ends:
            high = math.nextafter(ends["below"], -math.inf)
        words = ", ".join(f"{side.replace('_', ' ')} {end:,.10g}" for side, end in ends.items())
    return Verdict(name, number.value, low, high, words, number.interval, number.num_runs)


def shown(value: float, interval: Interval | None = None) -> str:
    """A number as it is printed: 14,196,517 or 0.335 [0.315, 0.344]."""
    if interval is None:
        return f"{value:,.9g}"
    return f"{value:,.4g} [{interval[0]:,.4g}, {interval[1]:,.4g}]"
