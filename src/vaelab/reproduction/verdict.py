"""One measured number beside what was expected of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """A number and the range that counts as reached, both ends included.

    Attributes:
        name: what was measured.
        measured: NaN where it could not be.
        low, high: the range; infinite where only one side is asked for.
        expected: the range in words.
    """

    name: str
    measured: float
    low: float
    high: float
    expected: str

    @property
    def reached(self) -> bool:
        """Whether low <= measured <= high."""
        return self.low <= self.measured <= self.high

    def __str__(self) -> str:
        word = "reached" if self.reached else "MISSED"
        return f"  {word:<8} {self.name:<44} {self.measured:>14,.9g}   expected {self.expected}"


def verdict(row: Mapping[str, Any], name: str, measured: float) -> Verdict:
    """From a row of `target.expected`: `value` and `tolerance`, or `at_least` and/or `at_most`."""
    if "value" in row:
        value, tolerance = float(row["value"]), float(row["tolerance"])
        words = f"{value:,.10g} +- {tolerance:g}"
        return Verdict(name, measured, value - tolerance, value + tolerance, words)
    low, high = float(row.get("at_least", -math.inf)), float(row.get("at_most", math.inf))
    sides = {"at least": low, "at most": high}
    words = ", ".join(f"{side} {end:,.10g}" for side, end in sides.items() if math.isfinite(end))
    return Verdict(name, measured, low, high, words)


def report(name: str, verdicts: Sequence[Verdict]) -> str:
    """The verdicts as text, the last line saying whether the target was reached."""
    num = sum(v.reached for v in verdicts)
    word = "reached" if num == len(verdicts) else "NOT reached"
    last = f"{name.upper()} {word}: {num} of {len(verdicts)} numbers"
    return "\n".join([*map(str, verdicts), last])
