"""Images and matplotlib figures from tensors; knows no model and no Lightning.

Every picture is a `Figure`, whose caption says what is shown; `to_array` makes pixels of it.
"""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelab.files import write_atomically

# Okabe and Ito's eight colour-blind-safe colours, then two greys, for up to ten classes.
CLASS_COLOURS = (
    "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2",
    "#D55E00", "#CC79A7", "#000000", "#999999", "#8C510A",
)  # fmt: skip
PAD = 2  # pixels between the images of a grid
INCHES_PER_CELL = 0.62


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


def reconstructions(x: Tensor, x_hat: Tensor, caption: str = "") -> Figure:
    """Data in the first row, reconstructions under it: both (N, C, H, W)."""
    grid = image_grid(torch.cat([x.cpu(), x_hat.cpu()]), len(x))
    return _grid_figure(grid, 2, len(x), ["data", "mean of p(x|z)"], caption)


def samples(images: Tensor, num_columns: int, caption: str = "") -> Figure:
    """A plain grid of images: (N, C, H, W)."""
    return _grid_figure(
        image_grid(images, num_columns), -(-len(images) // num_columns), num_columns, [], caption
    )


def traversals(
    images: Tensor, row_names: Sequence[str], values: Sequence[float], caption: str = ""
) -> Figure:
    """One latent a row, its value moved along the columns: (rows, columns, C, H, W)."""
    num_rows, num_columns = images.shape[:2]
    grid = image_grid(images.flatten(0, 1), num_columns)
    columns = [f"{value:+g}" if value else "0" for value in values]
    return _grid_figure(grid, num_rows, num_columns, row_names, caption, columns)


def manifold(images: Tensor, quantiles: Sequence[float], caption: str = "") -> Figure:
    """Decoded 2-D latent space: (rows, columns, C, H, W), z_1 to the right and z_2 upwards."""
    num_rows, num_columns = images.shape[:2]
    grid = image_grid(images.flip(0).flatten(0, 1), num_columns)
    figure = _grid_figure(grid, num_rows, num_columns, [], caption, inches=0.36)
    axes = figure.axes[0]
    shown = list(range(0, num_columns, max(1, num_columns // 6)))
    names = [f"{quantiles[i]:.2f}" for i in shown]
    centres = [(i + 0.5) * grid.shape[1] / num_columns for i in shown]
    axes.set_xticks(centres, names)
    axes.set_yticks([grid.shape[0] - c * grid.shape[0] / grid.shape[1] for c in centres], names)
    axes.set_xlabel(r"$z_1$")
    axes.set_ylabel(r"$z_2$")
    return figure


def latent_scatter(
    z: Tensor, labels: Tensor | None, label_name: str = "label", caption: str = ""
) -> Figure:
    """Posterior means in the plane, coloured by label: z (N, 2), labels (N,) or None."""
    figure = Figure(figsize=(5.6, 4.8), layout="constrained")
    axes = figure.add_subplot()
    first, second = z.detach().cpu().numpy().T
    classes = [] if labels is None else sorted(set(labels.tolist()))
    if not classes or len(classes) > len(CLASS_COLOURS):
        axes.scatter(first, second, s=3, c="#0072B2", alpha=0.5, linewidths=0)
    for i, name in enumerate(classes if len(classes) <= len(CLASS_COLOURS) else []):
        chosen = (labels == name).cpu().numpy()
        axes.scatter(
            first[chosen],
            second[chosen],
            s=4,
            c=CLASS_COLOURS[i],
            alpha=0.7,
            linewidths=0,
            label=str(name),
        )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            title=label_name,
            markerscale=4,
            frameon=False,
            loc="center left",
            bbox_to_anchor=(1, 0.5),
        )
    axes.set_xlabel(r"$z_1$")
    axes.set_ylabel(r"$z_2$")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title(caption, fontsize=8, loc="left")
    return figure


def to_array(figure: Figure, dpi: int = 100) -> np.ndarray:
    """The figure's pixels: (height, width, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save_png(figure: Figure, path: str | os.PathLike, dpi: int = 150) -> None:
    """Write the figure as PNG, atomically."""
    buffer = io.BytesIO()
    with mpl.rc_context({"savefig.bbox": "tight"}):
        figure.savefig(buffer, format="png", dpi=dpi)
    write_atomically(Path(path), lambda file: file.write(buffer.getvalue()))


def _grid_figure(
    grid: np.ndarray,
    num_rows: int,
    num_columns: int,
    row_names: Sequence[str],
    caption: str,
    column_names: Sequence[str] = (),
    inches: float = INCHES_PER_CELL,
) -> Figure:
    """An image grid with names beside its rows and under its columns."""
    height, width = grid.shape[:2]
    size = (num_columns * inches + 1.2, num_columns * inches * height / width + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(grid, interpolation="nearest", vmin=0, vmax=1)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8)
    axes.set_yticks([(i + 0.5) * height / num_rows for i in range(len(row_names))], row_names)
    columns = range(len(column_names))
    axes.set_xticks([(i + 0.5) * width / num_columns for i in columns], column_names)
    axes.set_title(caption, fontsize=8, loc="left")
    return figure
