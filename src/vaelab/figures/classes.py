"""Images of a conditional model: analogies, and the manifold of each class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vaelab.figures import style
from vaelab.figures.grids import GAP, LARGEST_CELL
from vaelab.figures.pixels import PAD, make_image_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRAME_COLOUR = "#D55E00"
ALIGNED = 0.15  # of a cell, between the images of a row and what is made of them
PANELS_PER_ROW = 3
PANEL_GAP = 0.1  # inches


def plot_analogies(
    x: Tensor,
    x_hat: Tensor,
    decoded: Tensor,
    own: Sequence[int],
    class_names: Sequence[str],
    title: str = "label",
    caption: str = "",
) -> "Figure":
    """An image per row: itself, its reconstruction, and what its z becomes given each class.

    Args:
        x: (B, C, H, W) in [0, 1].
        x_hat: their reconstructions, likewise.
        decoded: (B, K, C, H, W), the z of each image given each of K classes.
        own: of each image, the column of its own class, which is framed.
        class_names: of the K classes.
        title: what the names are, below them.
        caption: what is shown.
    """
    from matplotlib.figure import Figure

    num_classes = decoded.shape[1]
    height, width = (size + PAD for size in x.shape[-2:])  # of a cell, in pixels
    gap = round(ALIGNED * width)
    pairs = make_image_grid(torch.stack([x.cpu(), x_hat.cpu()], 1).flatten(0, 1), 2)
    others = make_image_grid(decoded.cpu().flatten(0, 1), num_classes)
    grid = np.ones((len(pairs), pairs.shape[1] + PAD + gap + others.shape[1], 3))
    grid[:, : pairs.shape[1]], grid[:, -others.shape[1] :] = pairs, others

    size = grid.shape[1] / grid.shape[0]
    across = min(style.WIDTH - 2 * style.MARGIN, grid.shape[1] / width * LARGEST_CELL)
    longest = max(map(style.text_width, class_names))
    upright = longest > across * width / grid.shape[1]  # they would overlap
    names = longest + GAP if upright else style.LINE  # their height
    below = style.MARGIN + GAP + names + style.LINE
    lines = style.wrap_text(caption, style.WIDTH - 2 * style.MARGIN)
    total = below + across / size + style.MARGIN + style.caption_height(lines)
    figure = Figure(figsize=(style.WIDTH, total))
    style.add_caption(figure, lines)
    box = (style.MARGIN, below, across, across / size)
    axes = figure.add_axes(_relative(box, total))
    _show(axes, grid)
    first = 2 * width + gap  # where the classes begin
    middles = [first + (k + 0.5) * width - PAD / 2 - 0.5 for k in range(num_classes)]
    heads = [width / 2 - PAD / 2 - 0.5, 1.5 * width - PAD / 2 - 0.5]
    axes.set_xticks([*heads, *middles], ["data", "rec.", *class_names], rotation=90 * upright)
    axes.set_yticks([])
    titled = len(grid) + (GAP + names) * len(grid) * size / across
    axes.text(float(np.mean(middles)), titled, title, fontsize=style.FONT, ha="center", va="top")
    for row, column in enumerate(own):
        left, top = first + column * width - PAD / 2 - 0.5, row * height - PAD / 2 - 0.5
        _add_frame(axes, (left, top), width, height)
    return figure


def plot_manifolds(images: Tensor, names: Sequence[str], caption: str = "") -> "Figure":
    """A decoded grid of two latents per class, in panels: z_0 to the right, z_1 upwards.

    Args:
        images: (K, rows, columns, C, H, W) in [0, 1].
        names: of the K panels, above them.
        caption: what is shown.
    """
    from matplotlib.figure import Figure

    grids = [make_image_grid(one.flip(0).flatten(0, 1), one.shape[1]) for one in images]
    columns = min(PANELS_PER_ROW, len(grids))
    width = style.WIDTH - 2 * style.MARGIN + PANEL_GAP
    across = min(width / columns, 2 * LARGEST_CELL * columns) - PANEL_GAP
    down = across * grids[0].shape[0] / grids[0].shape[1]
    pitch = down + style.LINE + PANEL_GAP
    lines = style.wrap_text(caption, style.WIDTH - 2 * style.MARGIN)
    num_rows = -(-len(grids) // columns)
    total = num_rows * pitch + style.MARGIN + style.caption_height(lines)
    figure = Figure(figsize=(style.WIDTH, total))
    style.add_caption(figure, lines)
    top = total - style.caption_height(lines) - style.MARGIN
    for i, (grid, name) in enumerate(zip(grids, names, strict=True)):
        left = style.MARGIN + i % columns * (across + PANEL_GAP)
        below = top - i // columns * pitch - style.LINE - down
        axes = figure.add_axes(_relative((left, below, across, down), total))
        _show(axes, grid)
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=style.FONT, pad=2)
    return figure


def _add_frame(axes: "Axes", corner: tuple[float, float], width: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    frame = Rectangle(corner, width, height, fill=False, edgecolor=FRAME_COLOUR, linewidth=1.2)
    frame.set_clip_on(False)
    axes.add_patch(frame)


def _relative(inches: tuple[float, float, float, float], total: float) -> tuple:
    """A box (left, below, width, height) in inches as fractions of a figure `total` high."""
    left, below, across, down = inches
    return left / style.WIDTH, below / total, across / style.WIDTH, down / total


def _show(axes: "Axes", grid: np.ndarray) -> None:
    axes.imshow((255 * grid).round().astype(np.uint8), interpolation="auto", aspect="auto")
    style.style_axes(axes, frame=False)
    axes.tick_params(pad=GAP * 72)
