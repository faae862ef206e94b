"""Pixels: of a figure, and of images side by side."""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 300
PAD = 2  # pixels between the images of a grid


def to_array(figure: "Figure", dpi: float = DPI) -> np.ndarray:
    """The figure's pixels: (H, W, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def is_grey(pixels: np.ndarray) -> bool:
    """Whether the three channels of (..., 3) are equal everywhere."""
    return bool((pixels == pixels[..., :1]).all())


def to_rgb(images: Tensor) -> np.ndarray:
    """Images (..., C, H, W) clipped to [0, 1], as (..., H, W, 3) floats: grey is repeated."""
    pixels = images.detach().float().clamp(0, 1).cpu().movedim(-3, -1).numpy()
    channels = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1]
    return np.broadcast_to(channels, (*pixels.shape[:-1], 3))


def make_image_grid(images: Tensor, num_columns: int) -> np.ndarray:
    """Images side by side on white, row by row: (N, C, H, W) in [0, 1] -> (rows, columns, 3)."""
    num, _, height, width = images.shape
    num_rows = -(-num // num_columns)
    grid = np.ones((num_rows * (height + PAD) - PAD, num_columns * (width + PAD) - PAD, 3))
    for i, image in enumerate(to_rgb(images)):
        top, left = i // num_columns * (height + PAD), i % num_columns * (width + PAD)
        grid[top : top + height, left : left + width] = image
    return grid
