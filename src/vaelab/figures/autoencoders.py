"""The curve or surface that an autoencoder decodes to, beside PCA's line or plane."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vaelab.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINT_COLOUR, PCA_COLOUR, DECODER_COLOUR = "#999999", style.LINE_COLOURS[0], style.LINE_COLOURS[1]
LABELS = {1: ("PCA's line", "decoded curve"), 2: ("PCA's plane", "decoded surface")}
HEIGHT, NARROW_HEIGHT = 2.6, 1.75  # inches of one panel, of two
SMALLEST, LARGEST, AREA_OF_ALL = 3, 16, 1500  # square points, of one dot and of all
MARGIN = 0.04  # of the extent of the points, beyond their ends


def plot_pca_manifold(
    points: NDArray[np.floating],
    lines: NDArray[np.floating],
    explained: NDArray[np.floating],
    caption: str = "",
) -> "Figure":
    """Images, PCA's line or plane, and what a decoder makes of its latents, on principal axes.

    One latent has the panel of the first two axes, where PCA's line is horizontal. Two have those
    of axes 1 and 2, of which PCA's plane is all, and of axes 1 and 3, where it is seen edge on.

    Args:
        points: (N, L + 1) of the images, their mean at 0, for L latents.
        lines: (num_lines, num_points, L + 1), along each of which one latent varies.
        explained: (L + 1,) fractions of the variance.
        caption: what is shown.
    """
    num_latents = points.shape[1] - 1
    height = HEIGHT if num_latents == 1 else NARROW_HEIGHT
    figure = style.new_figure(height, caption, layout="compressed", legend_rows=1)
    panels = figure.subplots(1, num_latents, squeeze=False).ravel()
    for second, axes in enumerate(panels, 1):
        shown = [0, second]
        edge_on = second == num_latents
        _plot_panel(axes, points[:, shown], lines[..., shown], edge_on, fine=num_latents > 1)
        x_name, y_name = (f"PC {i + 1} ({100 * explained[i]:.0f} %)" for i in shown)
        style.style_axes(axes, x_name, y_name)
    _add_legend(figure, *LABELS[num_latents])
    return figure


def _plot_panel(
    axes: "Axes",
    points: NDArray[np.floating],
    lines: NDArray[np.floating],
    edge_on: bool,
    fine: bool,
) -> None:
    area = max(SMALLEST, min(LARGEST, AREA_OF_ALL / len(points)))
    dots: dict[str, Any] = {"s": area, "alpha": 0.5, "linewidths": 0, "rasterized": True}
    axes.scatter(*points.T, color=POINT_COLOUR, **dots)
    low, high = points.min(0), points.max(0)
    room = MARGIN * max(float((high - low).max()), 1e-6)
    if edge_on:
        ends = [low[0] - room, high[0] + room]
        axes.plot(ends, [0, 0], color=PCA_COLOUR, linestyle="--", linewidth=1.3)
    else:
        axes.axvspan(low[0] - room, high[0] + room, color=PCA_COLOUR, alpha=0.12, linewidth=0)
    for line in lines:
        axes.plot(*line.T, color=DECODER_COLOUR, linewidth=0.5 if fine else 1.3)
    axes.set_aspect("equal", adjustable="datalim")


def _add_legend(figure: "Figure", pca: str, decoder: str) -> None:
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 3, "markeredgewidth": 0}
    handles = [
        Line2D([], [], color=POINT_COLOUR, label="images", **dot),
        Line2D([], [], color=PCA_COLOUR, linestyle="--", linewidth=1.3, label=pca),
        Line2D([], [], color=DECODER_COLOUR, linewidth=1.3, label=decoder),
    ]
    style.add_legend(figure, len(handles), handles=handles, columnspacing=1.2)
