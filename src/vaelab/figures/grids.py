"""Grids of images: reconstructions, samples, traversals, the manifold of two latents."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vaelab.figures import page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAD = 2  # pixels between the images of a grid
LARGEST_CELL = 0.6  # inches
GAP = 0.05  # inches between a name and the images


def image_grid(images: Tensor, num_columns: int) -> np.ndarray:
    """Images side by side on white, row by row: (N, C, H, W) in [0, 1] -> (rows, columns, 3)."""
    num, channels, height, width = images.shape
    num_rows = -(-num // num_columns)
    canvas = np.ones((num_rows * (height + PAD) - PAD, num_columns * (width + PAD) - PAD, 3))
    pixels = images.detach().float().clamp(0, 1).cpu().permute(0, 2, 3, 1).numpy()
    pixels = np.broadcast_to(
        pixels[..., :1] if channels < 3 else pixels[..., :3], (num, height, width, 3)
    )
    for i, image in enumerate(pixels):
        top, left = i // num_columns * (height + PAD), i % num_columns * (width + PAD)
        canvas[top : top + height, left : left + width] = image
    return canvas


def reconstructions(x: Tensor, x_hat: Tensor, caption: str = "") -> "Figure":
    """Data in the first row, reconstructions under it: both (N, C, H, W)."""
    grid = image_grid(torch.cat([x.cpu(), x_hat.cpu()]), len(x))
    return _grid_figure(grid, 2, len(x), caption, {0: "data", 1: "mean of p(x|z)"})


def samples(images: Tensor, num_columns: int, caption: str = "") -> "Figure":
    """A plain grid of images: (N, C, H, W)."""
    grid = image_grid(images, num_columns)
    return _grid_figure(grid, -(-len(images) // num_columns), num_columns, caption)


def traversals(
    images: Tensor, row_names: Sequence[str], values: Sequence[float], caption: str = ""
) -> "Figure":
    """One latent a row, its value moved along the columns: (rows, columns, C, H, W)."""
    num_rows, num_columns = images.shape[:2]
    grid = image_grid(images.flatten(0, 1), num_columns)
    names = dict(enumerate(row_names))
    return _grid_figure(grid, num_rows, num_columns, caption, names, _value_names(values))


def _value_names(values: Sequence[float]) -> dict[int, str]:
    """The columns of a traversal; of many every second, third, ... is named."""
    every = -(-len(values) // 12)
    return {i: f"{v:+.2g}" if v else "0" for i, v in enumerate(values) if i % every == 0}


def manifold(images: Tensor, quantiles: Sequence[float], caption: str = "") -> "Figure":
    """Decoded 2-D latent space: (rows, columns, C, H, W), z_1 to the right and z_2 upwards."""
    num_rows, num_columns = images.shape[:2]
    grid = image_grid(images.flip(0).flatten(0, 1), num_columns)
    shown = {i: f"{quantiles[i]:.2f}" for i in range(0, num_columns, max(1, num_columns // 6))}
    upwards = {num_rows - 1 - i: name for i, name in shown.items()}
    return _grid_figure(
        grid, num_rows, num_columns, caption, upwards, shown, x_label="$z_1$", y_label="$z_2$"
    )


def _grid_figure(
    grid: np.ndarray,
    num_rows: int,
    num_columns: int,
    caption: str,
    row_names: Mapping[int, str] | None = None,
    column_names: Mapping[int, str] | None = None,
    x_label: str = "",
    y_label: str = "",
) -> "Figure":
    """An image grid with names beside its rows and under its columns, by their number.

    All sizes are known, so the axes are placed by hand: nothing is cut off, and there is no layout
    to solve, which would take longer than to draw.
    """
    from matplotlib.figure import Figure

    rows, columns = row_names or {}, column_names or {}
    height, width = grid.shape[:2]
    left = page.MARGIN + max(map(page.text_width, rows.values()), default=-GAP) + GAP
    left += page.LINE if y_label else 0
    under = page.MARGIN + (GAP + page.LINE if columns else 0) + (page.LINE if x_label else 0)
    across = min(page.WIDTH - left - page.MARGIN, num_columns * LARGEST_CELL)
    down = across * height / width
    lines = page.wrap(caption, page.WIDTH - 2 * page.MARGIN)
    total = under + down + page.MARGIN + page.caption_height(lines)

    figure = Figure(figsize=(page.WIDTH, total))
    page.put_caption(figure, lines)
    place = (left / page.WIDTH, under / total, across / page.WIDTH, down / total)
    axes = figure.add_axes(place)
    pixels = (255 * grid).round().astype(np.uint8)  # drawn faster than floats
    axes.imshow(pixels, interpolation="auto", aspect="auto")
    page.dress(axes, x_label, y_label)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=GAP * 72)
    axes.xaxis.labelpad = axes.yaxis.labelpad = 1
    axes.set_yticks([(i + 0.5) * height / num_rows - 0.5 for i in rows], rows.values())
    axes.set_xticks([(i + 0.5) * width / num_columns - 0.5 for i in columns], columns.values())
    return figure
