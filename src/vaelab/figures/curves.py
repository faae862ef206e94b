"""Curves over training, labelled at their ends."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from vaelab.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 2.1  # inches of the axes with their labels
NUM_NAMED = 7  # latents with a colour and a name
GREY = "#BBBBBB"  # of the other latents


def plot_curves(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]], ylabel: str, caption: str = ""
) -> "Figure":
    """Values over training: name -> (steps (S,), values (S,)); NaN and infinity leave gaps."""
    figure = style.new_figure(HEIGHT, caption)
    axes = _add_axes(figure, ylabel)
    arrays = {name: (np.asarray(x), np.asarray(y, float)) for name, (x, y) in series.items()}
    for i, (steps, values) in enumerate(arrays.values()):
        axes.plot(steps, values, **_line_style(i, len(steps)))
    ends = [values[np.isfinite(values)] for _, values in arrays.values()]
    _label_ends(axes, [v[-1] if len(v) else np.nan for v in ends], list(arrays))
    return figure


def plot_latent_kl(
    steps: ArrayLike, kl: ArrayLike, names: Sequence[str], caption: str = ""
) -> "Figure":
    """KL of each latent over training; those of largest final KL are named, the others grey.

    Args:
        steps: (S,).
        kl: (S, L), in nats per image.
        names: of the L latents.
        caption: what is shown.
    """
    x, values = np.asarray(steps), np.asarray(kl, float)
    order = np.argsort(-values[-1], kind="stable")
    named, others = order[:NUM_NAMED], order[NUM_NAMED:]
    figure = style.new_figure(HEIGHT, caption)
    axes = _add_axes(figure, "KL (nats per image)")
    for latent in others:
        marker = "." if len(x) == 1 else None
        axes.plot(x, values[:, latent], color=GREY, linewidth=0.7, marker=marker)
    for i, latent in enumerate(named):
        axes.plot(x, values[:, latent], **_line_style(i, len(x)))
    axes.set_ylim(bottom=min(0.0, np.nanmin(values)))
    rest = f"{len(others)} others" if len(others) else ""
    ends = [*values[-1, named], *([values[-1, others].mean()] if rest else [])]
    _label_ends(axes, ends, [*(names[i] for i in named), *([rest] if rest else [])], len(named))
    return figure


def _add_axes(figure: "Figure", ylabel: str) -> "Axes":
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes = figure.add_subplot()
    style.style_axes(axes, "training step", ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.5)
    axes.set_axisbelow(True)
    return axes


def _line_style(i: int, num_points: int) -> dict[str, Any]:
    """Colour and style of curve i; a curve of one point is a dot."""
    colour = style.LINE_COLOURS[i % len(style.LINE_COLOURS)]
    dashes = style.LINE_STYLES[i % len(style.LINE_STYLES)]
    marker = "o" if num_points == 1 else None
    return {"color": colour, "linestyle": dashes, "linewidth": 1.1, "marker": marker, "ms": 3}


def _label_ends(
    axes: "Axes", ends: Sequence[float], names: Sequence[str], num_coloured: int | None = None
) -> None:
    """Names to the right of the curves, each as close to its end as the others allow."""
    shown = [i for i in np.argsort(ends, kind="stable") if np.isfinite(ends[i])]
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    gap = (high - low) * style.LINE / (HEIGHT - 0.45)
    places = spread_out([ends[i] for i in shown], gap, high)
    for i, y in zip(shown, places, strict=True):
        grey = num_coloured is not None and i >= num_coloured
        colour = "#777777" if grey else style.LINE_COLOURS[i % len(style.LINE_COLOURS)]
        transform = axes.get_yaxis_transform()
        axes.text(
            1.02, y, names[i], color=colour, transform=transform, va="center", fontsize=style.FONT
        )


def spread_out(places: Sequence[float], gap: float, top: float) -> list[float]:
    """Sorted places moved as little as needed to be `gap` apart and, if possible, below `top`."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    limit = top
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], limit)
        limit = moved[i] - gap
    return moved
