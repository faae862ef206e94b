"""A small plot of a metric against a setting, a dot a run, as SVG in the page."""

import math
from collections.abc import Sequence

from vaelab.report.markup import escape, number

WIDTH, HEIGHT = 300, 200
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 40
LOGARITHMIC_FROM = 10.0  # ratio of the largest to the least positive value


def scatter(
    x: Sequence[float],
    y: Sequence[float],
    names: Sequence[str],
    x_label: str,
    y_label: str,
    intervals: Sequence[tuple[float, float] | None] = (),
) -> str:
    """A dot for each (x, y), with its interval where there is one; runs that can't be drawn go.

    The x axis is logarithmic where all x are positive and spread tenfold.
    """
    bounds = list(intervals) or [None] * len(x)
    rows = [
        row for row in zip(x, y, names, bounds, strict=True) if all(map(math.isfinite, row[:2]))
    ]
    if not rows:
        return ""
    lowest, highest = min(row[0] for row in rows), max(row[0] for row in rows)
    logarithmic = lowest > 0 and highest / lowest >= LOGARITHMIC_FROM
    ends = [end for *_, bound in rows for end in bound or ()] + [row[1] for row in rows]

    def across(value: float) -> float:
        scale = math.log if logarithmic else float
        return LEFT + _share(scale(value), scale(lowest), scale(highest)) * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - _share(value, min(ends), max(ends)) * (HEIGHT - TOP - BOTTOM)

    marks = [_axes(x_label + (" (log)" if logarithmic else ""), y_label)]
    for value in sorted({row[0] for row in rows})[:: max(1, len({row[0] for row in rows}) // 5)]:
        marks.append(_text(across(value), HEIGHT - BOTTOM + 15, number(value, 3), "middle"))
    for value in sorted({min(ends), max(ends)}):
        marks.append(_text(LEFT - 6, up(value) + 4, number(value, 3), "end"))
    for a, b, name, bound in rows:
        if bound:
            marks.append(
                f'<path d="M{across(a):.1f} {up(bound[0]):.1f}V{up(bound[1]):.1f}" class="bar"/>'
            )
        title = escape(f"{name}: {x_label} {number(a)}, {y_label} {number(b)}")
        marks.append(
            f'<circle cx="{across(a):.1f}" cy="{up(b):.1f}" r="4"><title>{title}</title></circle>'
        )
    label = escape(f"{y_label} against {x_label}, {len(rows)} runs")
    return (
        f'<svg class="scatter" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(marks)}</svg>"
    )


def _share(value: float, low: float, high: float) -> float:
    """How far `value` is from low to high, with a margin; the middle where both are the same."""
    return 0.5 if high == low else 0.04 + 0.92 * (value - low) / (high - low)


def _axes(x_label: str, y_label: str) -> str:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    return (
        f'<path d="M{LEFT} {TOP}V{bottom}H{right}" class="axis"/>'
        f"{_text((LEFT + right) / 2, HEIGHT - 6, x_label, 'middle')}"
        f"{_text(2, 10, y_label, 'start')}"
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
