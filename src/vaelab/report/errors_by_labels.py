"""Classification errors against the number of labels, and where their curves cross."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaelab.report.blocks import Block, Figures, Paragraph, Text, join, pieces
from vaelab.report.formatting import format_interval, format_number
from vaelab.report.groups import Floats, Group, Spread
from vaelab.report.sweep_figures import (
    MAX_SERIES,
    Series,
    describe_bands,
    describe_centre,
    find_numeric_options,
    save_figure,
    split_into_series,
    summarize_series,
)

if TYPE_CHECKING:
    from vaelab.figures import Line

Rows = NDArray[np.int64]
OPTION = "labels.num"
DISCRIMINATIVE = "discriminative error"


class Curve(NamedTuple):
    """The errors of a classifier in the runs of a series."""

    name: str
    errors: Floats
    series: Series
    line: "Line"


class Gap(NamedTuple):
    """At a number of labels: a curve minus another, and their difference run by run."""

    num: float
    curves: float
    pairs: Spread

    @property
    def is_clear(self) -> bool:
        """Whether the interval or range of the paired differences leaves 0 out."""
        return self.pairs.bounds is not None and self.pairs.bounds[0] * self.pairs.bounds[1] > 0


def plot_errors_by_labels(group: Group, prefix: str) -> Iterator[Block]:
    """The errors of classifiers against labels.num, and a sentence per pair that is compared."""
    from vaelab import figures

    found = _find_curves(group) if OPTION in find_numeric_options(group) else []
    curves = found[:MAX_SERIES]
    if not curves:
        return
    lines, series = [curve.line for curve in curves], [curve.series for curve in curves]
    drawing = figures.plot_error_by_labels(
        lines, images={"test": "test", "val": "validation"}[group.split]
    )
    bands = describe_bands(group, series, [curve.errors for curve in curves])
    sentence = f"Lines: {describe_centre(group, series, OPTION)}.{bands}"
    title, alt = "Errors against labels", f"{', '.join(line.name for line in lines)}, by labels."
    yield Figures([save_figure(f"{prefix}errors_by_labels", drawing, title, sentence, alt)])
    if len(found) > len(curves):
        left_out = ", ".join(curve.name for curve in found[MAX_SERIES:])
        yield Paragraph(f"Not drawn: {left_out}.", "small")
    for curve in curves:
        other = _find_reference(curve, curves)
        gaps = _measure_gaps(group, curve, other) if other else []
        if other and gaps:
            yield Paragraph(_describe_crossing(curve.name, other.name, gaps))


def _find_curves(group: Group) -> list[Curve]:
    """Every error of every series that has one."""
    keys = {
        "Bayes error": "metrics/bayes_error",
        DISCRIMINATIVE: "metrics/discriminative_error",
        "error of q(y|x)": f"{group.split}/error",
    }
    every = split_into_series(group, OPTION)
    curves = []
    for series in every:
        for name, key in keys.items():
            errors = group.column(key)
            known = [i for i, s in enumerate(series.settings) if np.isfinite(errors[s.rows]).any()]
            if known:
                part = series._replace(
                    x=series.x[known], settings=[series.settings[i] for i in known]
                )
                label = f"{name} ({series.name})" if len(every) > 1 else name
                curves.append(
                    Curve(label, errors, part, summarize_series(group, part, errors, label))
                )
    return curves


def _find_reference(curve: Curve, curves: Sequence[Curve]) -> Curve | None:
    """The discriminative error that a curve is compared with: of its own runs, or else another."""
    if curve.name.startswith(DISCRIMINATIVE):
        return None
    known = [one for one in curves if one.name.startswith(DISCRIMINATIVE)]
    own = [one for one in known if one.series.name == curve.series.name]
    return next(iter(own + known), None)


def _measure_gaps(group: Group, curve: Curve, other: Curve) -> list[Gap]:
    """At each number of labels that both curves have."""
    gaps = []
    for num, centre, one in zip(
        curve.series.x, curve.line.centre, curve.series.settings, strict=True
    ):
        for at in np.flatnonzero(other.series.x == num).tolist():
            rows = _pair_runs(group, one.rows, other.series.settings[at].rows)
            differences = np.array([curve.errors[i] - other.errors[j] for i, j in rows])
            spread = group.spread(differences.astype(np.float64))
            if spread.n:
                gaps.append(Gap(num, float(centre - other.line.centre[at]), spread))
    return gaps


def _pair_runs(group: Group, rows: Rows, others: Rows) -> list[tuple[int, int]]:
    """Each run with itself, or with the run of its seed and labels.seed."""
    if np.array_equal(rows, others):
        return [(i, i) for i in rows.tolist()]
    by_seeds = {group.seeds(i): i for i in others.tolist()}
    pairs = [(i, by_seeds.get(group.seeds(i))) for i in rows.tolist()]
    return [(i, j) for i, j in pairs if j is not None]


def _describe_crossing(name: str, other: str, gaps: Sequence[Gap]) -> Text:
    """Where the curves cross, or that they don't, and whether the paired differences can tell."""
    signed = [gap for gap in gaps if gap.curves != 0]
    sides = [(a, b) for a, b in pairwise(signed) if a.curves * b.curves < 0]
    first, last = (format_number(gap.num) for gap in (gaps[0], gaps[-1]))
    where = f"at {first} labels" if len(gaps) == 1 else f"from {first} to {last} labels"
    if not signed:
        return f"The {name} and the {other} are equal {where}."
    if not sides:
        closest = min(signed, key=lambda gap: abs(gap.curves))
        order = "lower" if closest.curves < 0 else "higher"
        text = f"The {name} is {order} than the {other} {where}, where the curves do not cross; "
        at = f"they are closest at {format_number(closest.num)} labels, by "
        return (text + at, *_describe_gap(closest), *_describe_doubt(signed))
    places = [
        f"between {format_number(a.num)} and {format_number(b.num)} labels, near "
        f"{format_number(_interpolate(a, b))}"
        for a, b in sides
    ]
    ends = list(dict.fromkeys(gap for pair in sides for gap in pair))
    listed = [
        (f"{'lower' if gap.curves < 0 else 'higher'} by ",
         *_describe_gap(gap), f" at {format_number(gap.num)}")
        for gap in ends
    ]  # fmt: skip
    text = f"The curves of the {name} and the {other} cross {' and '.join(places)}: the {name} is "
    return (text, *join(" and ", listed), *_describe_doubt(ends))


def _interpolate(a: Gap, b: Gap) -> float:
    """Where curves cross, linearly in log(number of labels), to two significant digits."""
    share = a.curves / (a.curves - b.curves)
    return float(f"{a.num ** (1 - share) * b.num**share:.1e}")


def _describe_gap(gap: Gap) -> tuple[str, ...]:
    """|difference| in percentage points, paired, with its interval."""
    sign = 100 if gap.curves > 0 else -100
    ends = sorted(sign * bound for bound in gap.pairs.bounds) if gap.pairs.bounds else None
    text = format_interval(sign * gap.pairs.value, ends, 3, gap.pairs.is_range)
    return (*pieces(text), " points")


def _describe_doubt(gaps: Sequence[Gap]) -> tuple[str, ...]:
    """Whether the order at these numbers of labels may be due to the seeds."""
    if any(gap.pairs.bounds is None for gap in gaps):
        return (" (one run, so that the seeds may decide the order).",)
    doubtful = [format_number(gap.num) for gap in gaps if not gap.is_clear]
    if doubtful:
        return (
            f"; at {' and '.join(doubtful)} labels the paired differences include 0, so that these "
            "runs cannot tell which is lower there.",
        )
    fewest = min(gap.pairs.n for gap in gaps)
    if not any(gap.pairs.is_range for gap in gaps):
        return ("; none of the intervals of paired differences includes 0.",)
    chance = format_number(100 * 2.0 ** (1 - fewest), 2)
    return (
        f"; all runs agree on the order, as {fewest} runs would by chance with probability "
        f"{chance} %.",
    )
