"""Grids of images: reconstructions, samples, traversals, rows, the manifold of two latents."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vaelab.figures import style
from vaelab.figures.pixels import make_image_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_CELL = 0.6  # inches
GAP = 0.05  # inches between a name and the images


def plot_reconstructions(
    x: Tensor, x_hat: Tensor, caption: str = "", p_name: str = "p(x|z)"
) -> "Figure":
    """Data in the first row, their reconstructions below: both (N, C, H, W) in [0, 1].

    p_name is the distribution of which x_hat is the mean.
    """
    grid = make_image_grid(torch.cat([x.cpu(), x_hat.cpu()]), len(x))
    return _plot_grid(grid, 2, len(x), caption, {0: "data", 1: f"mean of {p_name}"})


def plot_samples(images: Tensor, num_columns: int, caption: str = "") -> "Figure":
    """A plain grid of images: (N, C, H, W) in [0, 1]."""
    grid = make_image_grid(images, num_columns)
    return _plot_grid(grid, -(-len(images) // num_columns), num_columns, caption)


def plot_traversals(
    images: Tensor, row_names: Sequence[str], values: Sequence[float], caption: str = ""
) -> "Figure":
    """One row per latent, whose value changes along the columns.

    Args:
        images: (rows, columns, C, H, W) in [0, 1].
        row_names: of the latents.
        values: of the columns.
        caption: what is shown.
    """
    return plot_rows(images, row_names, _value_names(values), caption)


def plot_rows(
    images: Tensor,
    row_names: Sequence[str],
    column_names: Mapping[int, str] | None = None,
    caption: str = "",
    y_label: str = "",
) -> "Figure":
    """One row of images per name.

    Args:
        images: (rows, columns, C, H, W) in [0, 1].
        row_names: of the rows; "" where a row has none.
        column_names: by the number of the column.
        caption: what is shown.
        y_label: what the names of the rows are.
    """
    num_rows, num_columns = images.shape[:2]
    grid = make_image_grid(images.flatten(0, 1), num_columns)
    names = {row: name for row, name in enumerate(row_names) if name}
    return _plot_grid(grid, num_rows, num_columns, caption, names, column_names, y_label=y_label)


def _value_names(values: Sequence[float]) -> dict[int, str]:
    """Column -> name; of more than 12 columns every second, third, ... is named."""
    every = -(-len(values) // 12)
    return {i: f"{v:+.2g}" if v else "0" for i, v in enumerate(values) if i % every == 0}


def plot_manifold(images: Tensor, quantiles: Sequence[float], caption: str = "") -> "Figure":
    """A decoded grid of two latents: (rows, columns, C, H, W), z_0 to the right, z_1 upwards."""
    num_rows, num_columns = images.shape[:2]
    grid = make_image_grid(images.flip(0).flatten(0, 1), num_columns)
    shown = {i: f"{quantiles[i]:.2f}" for i in range(0, num_columns, max(1, num_columns // 6))}
    upwards = {num_rows - 1 - i: name for i, name in shown.items()}
    return _plot_grid(
        grid, num_rows, num_columns, caption, upwards, shown, x_label="$z_0$", y_label="$z_1$"
    )


def _plot_grid(
    grid: np.ndarray,
    num_rows: int,
    num_columns: int,
    caption: str,
    row_names: Mapping[int, str] | None = None,
    column_names: Mapping[int, str] | None = None,
    x_label: str = "",
    y_label: str = "",
) -> "Figure":
    """An image grid with names beside its rows and below its columns, by their number.

    All sizes are known, so the axes are placed directly: nothing is cut off, and there is no
    layout to solve, which would take longer than drawing.
    """
    from matplotlib.figure import Figure

    rows, columns = row_names or {}, column_names or {}
    height, width = grid.shape[:2]
    left = style.MARGIN + max(map(style.text_width, rows.values()), default=-GAP) + GAP
    left += style.LINE if y_label else 0
    below = style.MARGIN + (GAP + style.LINE if columns else 0) + (style.LINE if x_label else 0)
    across = min(style.WIDTH - left - style.MARGIN, num_columns * LARGEST_CELL)
    down = across * height / width
    lines = style.wrap_text(caption, style.WIDTH - 2 * style.MARGIN)
    total = below + down + style.MARGIN + style.caption_height(lines)

    figure = Figure(figsize=(style.WIDTH, total))
    style.add_caption(figure, lines)
    place = (left / style.WIDTH, below / total, across / style.WIDTH, down / total)
    axes = figure.add_axes(place)
    pixels = (255 * grid).round().astype(np.uint8)  # drawn faster than floats
    axes.imshow(pixels, interpolation="auto", aspect="auto")
    style.style_axes(axes, x_label, y_label, frame=False)
    axes.tick_params(pad=GAP * 72)
    axes.xaxis.labelpad = axes.yaxis.labelpad = 1
    axes.set_yticks([(i + 0.5) * height / num_rows - 0.5 for i in rows], rows.values())
    axes.set_xticks([(i + 0.5) * width / num_columns - 0.5 for i in columns], columns.values())
    return figure
