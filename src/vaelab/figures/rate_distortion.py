"""What runs pay for what they say: KL against reconstruction, and where the ELBO is the same."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaelab.figures import page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
HEIGHT = 2.6  # inches
MINUS = "\N{MINUS SIGN}"
NUM_LABELS = 24  # more cells are not named one by one


class Trail(NamedTuple):
    """Cells in the order of a setting: reconstruction and KL (P,), in nats, and their names."""

    name: str
    reconstruction: Floats
    kl: Floats
    labels: Sequence[str]


def rate_distortion(paths: Sequence[Trail], runs: Floats, caption: str = "") -> "Figure":
    """The rate-distortion plane of Alemi et al. 2018, with lines of equal ELBO.

    Args:
        paths: cells joined by lines.
        runs: (R, 2) reconstruction and KL of each run, drawn as faint dots.
        caption: what is shown.
    """
    legend = page.LINE * 1.3 * len(paths) if len(paths) > 1 else 0.0
    figure = page.page(HEIGHT + legend, caption)
    axes = figure.add_subplot()
    axes.scatter(
        runs[:, 0],
        runs[:, 1],
        s=5,
        color="#999999",
        alpha=0.5,
        linewidths=0,
        rasterized=len(runs) > 300,
    )
    for i, path in enumerate(paths):
        colour = page.LINE_COLOURS[i % len(page.LINE_COLOURS)]
        style: Any = page.LINE_STYLES[i % len(page.LINE_STYLES)]
        look: dict[str, Any] = {"linewidth": 1.0, "marker": "o", "ms": 3}
        axes.plot(
            path.reconstruction, path.kl, color=colour, linestyle=style, label=path.name, **look
        )
    axes.margins(0.15)
    page.dress(axes, "reconstruction (nats per image)", "KL (nats per image)")
    _equal_elbo(axes)
    if sum(len(path.labels) for path in paths) <= NUM_LABELS:
        _name(axes, paths)
    if legend:
        place: dict[str, Any] = {"loc": "outside upper left"}
        figure.legend(fontsize=page.FONT, frameon=False, **place)
    return figure


def _name(axes: "Axes", paths: Sequence[Trail]) -> None:
    """A label right above each cell, left out where it would lie on another."""
    taken: list[Floats] = []
    for i, path in enumerate(paths):
        colour = page.LINE_COLOURS[i % len(page.LINE_COLOURS)]
        for x, y, label in zip(path.reconstruction, path.kl, path.labels, strict=True):
            inches = axes.figure.dpi_scale_trans.inverted().transform(
                axes.transData.transform((x, y))
            )
            away = [np.abs(inches - other) for other in taken]
            if all(dx > page.text_width(label) or dy > page.LINE for dx, dy in away):
                offset: dict[str, Any] = {"xytext": (3, 3), "textcoords": "offset points"}
                axes.annotate(label, (x, y), fontsize=page.FONT - 0.5, color=colour, **offset)
                taken.append(inches)


def _equal_elbo(axes: "Axes") -> None:
    """Thin lines reconstruction + KL = -ELBO, named where they leave the plot."""
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import MaxNLocator

    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    drawn = 0
    for cost in MaxNLocator(6).tick_values(left + bottom, right + top):
        start, end = max(left, cost - top), min(right, cost - bottom)
        if end - start < 0.08 * (right - left):
            continue
        drawn += 1
        look: dict[str, Any] = {"color": "#BBBBBB", "linewidth": 0.5, "linestyle": (0, (4, 3))}
        axes.plot(
            [start, end], [cost - start, cost - end], zorder=0, scalex=False, scaley=False, **look
        )
        text = f"{-cost:,.4g}".replace("-", MINUS)
        at_top = cost - start >= top - 1e-9
        axes.annotate(
            f"ELBO {text}" if drawn == 1 else text,
            (start, cost - start),
            xytext=(0, 1) if at_top else (2, 0),
            textcoords="offset points",
            fontsize=page.FONT - 1.5,
            color="#888888",
            ha="center" if at_top else "left",
            va="bottom" if at_top else "center",
            annotation_clip=False,
            path_effects=[withStroke(linewidth=1.5, foreground="white")],
        )
    axes.set(xlim=(left, right), ylim=(bottom, top))
