"""What the variance of numbers over runs comes from."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vaelab.figures import page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAR = 0.2  # inches, the height of a row
SEED_COLOUR = "#BBBBBB"
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\")  # what tells the parts apart in grey


def variance_bars(
    names: Sequence[str], parts: Mapping[str, Sequence[float]], caption: str = ""
) -> "Figure":
    """A bar a number from the left to the right, in parts; the last of them, the seed, is grey.

    Args:
        names: of the numbers (N,).
        parts: part -> its share (N,) in each; what is below 0, as estimates can be, is drawn as 0,
            and the others are scaled to add up to 1.
        caption: what is shown.
    """
    legend = page.LINE * 1.4 * -(-len(parts) // 2)
    figure = page.page(max(len(names), 2) * BAR + 0.45 + legend, caption)
    axes = figure.add_subplot()
    widths = np.clip(np.nan_to_num(np.array(list(parts.values()), float)), 0, None)
    widths /= np.maximum(widths.sum(0), np.finfo(float).tiny)
    left = np.zeros(len(names))
    for i, (part, width) in enumerate(zip(parts, widths, strict=True)):
        last = i == len(parts) - 1
        look: dict[str, Any] = {
            "color": SEED_COLOUR if last else page.LINE_COLOURS[i % len(page.LINE_COLOURS)],
            "hatch": "" if last else HATCHES[i % len(HATCHES)],
        }
        rows = range(len(names))
        axes.barh(rows, width, 0.7, left=left, label=part, edgecolor="white", linewidth=0.5, **look)
        left += width
    page.dress(axes, "share of the variance")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.tick_params(axis="y", length=0)
    place: dict[str, Any] = {"loc": "outside upper left", "ncols": 2, "handlelength": 1.4}
    figure.legend(fontsize=page.FONT, frameon=False, **place)
    return figure
