"""A figure's pixels."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 300


def to_array(figure: "Figure", dpi: float = DPI) -> np.ndarray:
    """The figure's pixels: (H, W, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def is_grey(pixels: np.ndarray) -> bool:
    """Whether the channels of (..., 3) are equal everywhere."""
    return bool((pixels == pixels[..., :1]).all())
