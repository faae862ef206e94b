"""Where the variance of metrics over runs comes from."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vaelab.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAR = 0.2  # inches, the height of a row
SEED_COLOUR = "#BBBBBB"
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\")  # distinguish the parts in greyscale


def plot_variance_bars(
    names: Sequence[str], parts: Mapping[str, Sequence[float]], caption: str = ""
) -> "Figure":
    """One horizontal bar per metric, divided into parts; the last part, the seed, is grey.

    Args:
        names: of the N metrics.
        parts: part -> its share (N,) of each variance. Estimated shares below 0 are drawn as 0,
            and the others are scaled to add up to 1.
        caption: what is shown.
    """
    height = max(len(names), 2) * BAR + 0.45
    figure = style.new_figure(height, caption, legend_rows=-(-len(parts) // 2))
    axes = figure.add_subplot()
    widths = np.clip(np.nan_to_num(np.array(list(parts.values()), float)), 0, None)
    widths /= np.maximum(widths.sum(0), np.finfo(float).tiny)
    left = np.zeros(len(names))
    rows = range(len(names))
    for i, (part, width) in enumerate(zip(parts, widths, strict=True)):
        is_seed = i == len(parts) - 1
        fill: dict[str, Any] = {
            "color": SEED_COLOUR if is_seed else style.LINE_COLOURS[i % len(style.LINE_COLOURS)],
            "hatch": "" if is_seed else HATCHES[i % len(HATCHES)],
        }
        axes.barh(rows, width, 0.7, left=left, label=part, edgecolor="white", linewidth=0.5, **fill)
        left += width
    style.style_axes(axes, "share of the variance")
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.tick_params(axis="y", length=0)
    style.add_legend(figure, 2)
    return figure
