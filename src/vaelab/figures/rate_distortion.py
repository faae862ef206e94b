"""The rate-distortion plane: KL against reconstruction, with lines of equal ELBO."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaelab.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
HEIGHT = 2.6  # inches
MINUS = "\N{MINUS SIGN}"
MAX_LABELS = 24  # more settings are not labelled individually
MAX_VECTOR_DOTS = 300  # more runs are one image in an SVG


class RateDistortionCurve(NamedTuple):
    """Settings in order: reconstruction and KL of each (P,), in nats, and their labels."""

    name: str
    reconstruction: Floats
    kl: Floats
    labels: Sequence[str]


def plot_rate_distortion(
    curves: Sequence[RateDistortionCurve], runs: Floats, caption: str = ""
) -> "Figure":
    """Rate (KL) against distortion (reconstruction), with lines of equal ELBO = -(R + D).

    Source: Alemi et al., Fixing a Broken ELBO, 2018, https://arxiv.org/abs/1711.00464

    Args:
        curves: settings joined by lines.
        runs: (R, 2) reconstruction and KL of each run, drawn as faint dots.
        caption: what is shown.
    """
    legend_rows = len(curves) if len(curves) > 1 else 0
    figure = style.new_figure(HEIGHT, caption, legend_rows=legend_rows)
    axes = figure.add_subplot()
    dots: dict[str, Any] = {"s": 5, "color": "#999999", "alpha": 0.5, "linewidths": 0}
    axes.scatter(*runs.T, rasterized=len(runs) > MAX_VECTOR_DOTS, **dots)
    for i, curve in enumerate(curves):
        colour = style.LINE_COLOURS[i % len(style.LINE_COLOURS)]
        dashes: Any = style.LINE_STYLES[i % len(style.LINE_STYLES)]
        line: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": 1.0}
        axes.plot(curve.reconstruction, curve.kl, label=curve.name, marker="o", ms=3, **line)
    axes.margins(0.15)
    style.style_axes(axes, "reconstruction (nats per image)", "KL (nats per image)")
    _plot_equal_elbo(axes)
    if sum(len(curve.labels) for curve in curves) <= MAX_LABELS:
        _label_settings(axes, curves)
    if legend_rows:
        style.add_legend(figure)
    return figure


def _label_settings(axes: "Axes", curves: Sequence[RateDistortionCurve]) -> None:
    """A label to the upper right of each setting, left out where it would cover another."""
    taken: list[Floats] = []
    for i, curve in enumerate(curves):
        colour = style.LINE_COLOURS[i % len(style.LINE_COLOURS)]
        for x, y, label in zip(curve.reconstruction, curve.kl, curve.labels, strict=True):
            inches = axes.figure.dpi_scale_trans.inverted().transform(
                axes.transData.transform((x, y))
            )
            away = [np.abs(inches - other) for other in taken]
            if all(dx > style.text_width(label) or dy > style.LINE for dx, dy in away):
                offset: dict[str, Any] = {"xytext": (3, 3), "textcoords": "offset points"}
                axes.annotate(label, (x, y), fontsize=style.FONT - 0.5, color=colour, **offset)
                taken.append(inches)


def _plot_equal_elbo(axes: "Axes") -> None:
    """Thin lines reconstruction + KL = -ELBO, labelled where they leave the plot."""
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import MaxNLocator

    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    num_drawn = 0
    line: dict[str, Any] = {"color": "#BBBBBB", "linewidth": 0.5, "linestyle": (0, (4, 3))}
    fixed: dict[str, Any] = {"zorder": 0, "scalex": False, "scaley": False}
    for cost in MaxNLocator(6).tick_values(left + bottom, right + top):
        start, end = max(left, cost - top), min(right, cost - bottom)
        if end - start < 0.08 * (right - left):
            continue
        num_drawn += 1
        axes.plot([start, end], [cost - start, cost - end], **line, **fixed)
        text = f"{-cost:,.4g}".replace("-", MINUS)
        at_top = cost - start >= top - 1e-9
        axes.annotate(
            f"ELBO {text}" if num_drawn == 1 else text,
            (start, cost - start),
            xytext=(0, 1) if at_top else (2, 0),
            textcoords="offset points",
            fontsize=style.FONT - 1.5,
            color="#888888",
            ha="center" if at_top else "left",
            va="bottom" if at_top else "center",
            annotation_clip=False,
            path_effects=[withStroke(linewidth=1.5, foreground="white")],
        )
    axes.set(xlim=(left, right), ylim=(bottom, top))
