"""Densities of posteriors over that of the prior, one panel per latent."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vaelab.figures import style
from vaelab.figures.pixels import make_image_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = tuple[NDArray[np.floating], NDArray[np.floating]]
PRIOR_COLOUR = "#D0D0D0"
PANELS_PER_ROW = 3
THUMBNAIL, PANEL = 0.42, 0.85  # inches, the height of one
GAP = 0.14  # inches between panels, and at the edges for the ends of the tick labels
HEADROOM = 0.08  # of the height, above the highest curve


def plot_posteriors(
    priors: Sequence[Curve],
    posteriors: Sequence[Sequence[Curve]],
    images: Tensor,
    names: Sequence[str],
    caption: str = "",
) -> "Figure":
    """One panel per latent: p(z_j) as a grey area, and over it q(z_j|x) of each image as a line.

    The legend is the images themselves, each above the line of its colour and style.

    Args:
        priors: of each latent, its values and the density at these.
        posteriors: the same of each image, for each latent: latents, then images.
        images: (B, C, H, W) in [0, 1], at most as many as there are colours.
        names: of the latents.
        caption: what is shown.
    """
    from matplotlib.figure import Figure

    num_columns = min(PANELS_PER_ROW, len(names))
    num_rows = -(-len(names) // num_columns)
    row = 2 * style.LINE + PANEL + style.MARGIN  # a title, the panel and its ticks
    lines = style.wrap_text(caption, style.WIDTH - 2 * style.MARGIN)
    legend = THUMBNAIL + 2 * style.MARGIN + 0.5 * style.LINE
    total = num_rows * row + legend + style.caption_height(lines) + 2 * style.MARGIN
    figure = Figure(figsize=(style.WIDTH, total))
    style.add_caption(figure, lines)
    top = total - style.caption_height(lines) - style.MARGIN
    _add_thumbnails(figure, images, top)
    across = (style.WIDTH - GAP) / num_columns
    for i, name in enumerate(names):
        left = GAP + i % num_columns * across
        below = top - legend - (i // num_columns + 1) * row + style.LINE + style.MARGIN
        place = (left / style.WIDTH, below / total, (across - GAP) / style.WIDTH, PANEL / total)
        _plot_panel(figure.add_axes(place), priors[i], posteriors[i], name)
    return figure


def _plot_panel(axes: "Axes", prior: Curve, posteriors: Sequence[Curve], name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.fill_between(*prior, color=PRIOR_COLOUR, linewidth=0)
    for i, (z, density) in enumerate(posteriors):
        axes.plot(z, density, color=_colour(i), linestyle=_dashes(i), linewidth=1.0)
    highest = max(float(density.max()) for _, density in (prior, *posteriors))
    axes.set_ylim(0, (1 + HEADROOM) * highest)
    style.style_axes(axes)
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.margins(x=0)
    axes.set_title(name, fontsize=style.FONT, pad=2)


def _add_thumbnails(figure: "Figure", images: Tensor, top: float) -> None:
    """The legend below `top` inches: p(z), then each image above its line."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    width, total = figure.get_size_inches()
    wide = THUMBNAIL * images.shape[-1] / images.shape[-2]
    step = min(wide + 3 * GAP, (width - GAP) / (len(images) + 1))
    wide = min(wide, step - GAP)
    below = (top - THUMBNAIL) / total
    line = below - (style.MARGIN + 0.2 * style.LINE) / total
    box: dict[str, Any] = {"color": PRIOR_COLOUR, "linewidth": 0, "transform": figure.transFigure}
    area = Rectangle((GAP / width, below), THUMBNAIL / width, 0.5 * THUMBNAIL / total, **box)
    figure.add_artist(area)
    middle = (GAP + THUMBNAIL / 2) / width, below + 0.25 * THUMBNAIL / total
    figure.text(*middle, "$p(z_j)$", fontsize=style.FONT, ha="center", va="center")
    for i, image in enumerate(images):
        left = GAP + (i + 1) * step
        axes = figure.add_axes((left / width, below, wide / width, THUMBNAIL / total))
        axes.imshow(make_image_grid(image[None], 1), interpolation="auto", aspect="auto")
        axes.set_axis_off()
        ends = [left / width, (left + wide) / width]
        look: dict[str, Any] = {"color": _colour(i), "linestyle": _dashes(i), "linewidth": 1.4}
        figure.add_artist(Line2D(ends, [line, line], transform=figure.transFigure, **look))


def _colour(i: int) -> str:
    return style.LINE_COLOURS[i % len(style.LINE_COLOURS)]


def _dashes(i: int) -> str:
    return style.LINE_STYLES[i % len(style.LINE_STYLES)]
