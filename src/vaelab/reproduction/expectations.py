"""Expected numbers of a target, each with its range and its source.

What is derived, measured elsewhere or published decides the verdict; an estimate never does.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaelab.errors import require, require_choice

BOUNDS = ("at_least", "above", "at_most", "below")
ESTIMATE = "estimate"
# Kind of source -> what it has to say of itself.
KINDS = {
    "derived": ("reason",),
    "measured elsewhere": ("title", "place", "link"),
    "published": ("title", "place", "link"),
    ESTIMATE: ("reason",),
}


@dataclass(frozen=True)
class Source:
    """Where an expected number comes from, an entry of `target.sources`.

    Attributes:
        name: by which rows of `target.expected` refer to it.
        kind: derived (it follows from theory or from the definition of what is measured), measured
            elsewhere (by others, in a log or repository), published (in a paper), or estimate.
        title: authors, year and title, or the repository.
        place: the table, figure, section or log.
        link: to the paper or repository.
        reason: how the range follows from the source, or what an estimate is based on.
    """

    name: str
    kind: str
    title: str = ""
    place: str = ""
    link: str = ""
    reason: str = ""

    @property
    def decides(self) -> bool:
        """Whether a number from this source decides the verdict."""
        return self.kind != ESTIMATE

    @property
    def citation(self) -> str:
        """Title, place, link and reason."""
        where = ", ".join(part for part in (self.title, self.place, self.link) if part)
        return "; ".join(part for part in (where, self.reason) if part)


@dataclass(frozen=True)
class Expectation:
    """An expected number: its range, both ends included, and its source.

    Attributes:
        number: its name.
        minus: the name of the number to subtract, or None.
        step: at which it was logged, or None for the final number.
        low, high: the range; infinite where one side is not restricted.
        text: the range as it is printed.
        source: of the range.
    """

    number: str
    minus: str | None
    step: int | None
    low: float
    high: float
    text: str
    source: Source

    @property
    def name(self) -> str:
        """The number as it is printed, with its step or what is subtracted."""
        if self.step is not None:
            return f"{self.number} at step {self.step}"
        return self.number if self.minus is None else f"{self.number} - {self.minus}"


def read_expectations(target: Mapping[str, Any]) -> list[Expectation]:
    """The rows of `target.expected` with their sources.

    A row has `number`; `value` and `tolerance`, or one or two of `BOUNDS`; and `source`, a name in
    `target.sources`. `above` and `below` exclude the number that they name.

    Args:
        target: of the config.

    Raises:
        UserError: no rows, or a row without a range or source, or a source that lacks something.
    """
    rows = target.get("expected") or []
    require(
        len(rows) > 0,
        "target.expected expects at least one row, got none; add a number with its range and its "
        "source.",
    )
    sources = {name: _read_source(name, one) for name, one in target.get("sources", {}).items()}
    return [_read_row(row, sources) for row in rows]


def count_kinds(sources: Sequence[Source]) -> str:
    """How many numbers have which kind of source, such as "3 published, 2 estimates".

    Args:
        sources: one per number.
    """
    counts = Counter(one.kind for one in sources)
    words = {kind: f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]}
    if counts[ESTIMATE] > 1:
        words[ESTIMATE] += "s"
    return ", ".join(words.values())


def _read_source(name: str, entry: Mapping[str, Any]) -> Source:
    require_choice(f"target.sources.{name}.kind", entry.get("kind"), KINDS)
    kind = str(entry["kind"])
    fields = ("kind", "title", "place", "link", "reason")
    for key in entry:
        require_choice(f"target.sources.{name}", key, fields)
    missing = [key for key in KINDS[kind] if not entry.get(key)]
    require(
        not missing,
        f"target.sources.{name} expects {', '.join(KINDS[kind])} of what is {kind}, got no "
        f"{' and no '.join(missing)}; add it, or make it an estimate with a reason.",
    )
    return Source(name, **{str(key): str(value) for key, value in entry.items()})


def _read_row(row: Mapping[str, Any], sources: Mapping[str, Source]) -> Expectation:
    for key in row:
        keys = ("number", "minus", "step", "value", "tolerance", *BOUNDS, "source")
        require_choice("target.expected", key, keys)
    low, high, text = _read_range(row)
    named = row.get("source")
    require(
        named in sources,
        f"target.expected expects a source for {row['number']}, got {named!r}; name one of "
        f"target.sources ({', '.join(sources) or 'empty'}), or add it there.",
    )
    return Expectation(
        row["number"], row.get("minus"), row.get("step"), low, high, text, sources[str(named)]
    )


def _read_range(row: Mapping[str, Any]) -> tuple[float, float, str]:
    """low, high, and both as text."""
    if {"value", "tolerance"} <= set(row):
        value, tolerance = float(row["value"]), float(row["tolerance"])
        return value - tolerance, value + tolerance, f"{value:,.10g} +- {tolerance:g}"
    ends = {bound: float(row[bound]) for bound in BOUNDS if bound in row}
    require(
        bool(ends),
        f"target.expected expects value and tolerance, or some of {', '.join(BOUNDS)}, got "
        f"{dict(row)}; add what {row.get('number')} should be.",
    )
    low, high = ends.get("at_least", -math.inf), ends.get("at_most", math.inf)
    if "above" in ends:
        low = math.nextafter(ends["above"], math.inf)
    if "below" in ends:
        high = math.nextafter(ends["below"], -math.inf)
    text = ", ".join(f"{bound.replace('_', ' ')} {end:,.10g}" for bound, end in ends.items())
    return low, high, text
