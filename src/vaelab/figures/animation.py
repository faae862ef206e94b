"""Animated figures: frames of pixels, in which matplotlib draws only the text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from vaelab.figures import style
from vaelab.figures.pixels import to_array, to_rgb

PIXELS_PER_INCH = 144
CELL = 110  # pixels, about
MAX_COLUMNS = 5
SPACE = 12  # pixels between the cells
MIN_WIDTH = 430  # pixels, so that the caption has room
KNOB_SHADE = 60
TRACK_SHADE = 200


@dataclass(frozen=True, eq=False)
class Animation:
    """Frames shown one after the other in an endless loop.

    Attributes:
        frames: (T, H, W, 3) uint8.
        caption: what is shown, also written in the frames.
        seconds_per_frame: how long each is shown.
    """

    frames: np.ndarray
    caption: str
    seconds_per_frame: float = 0.06


def animate_traversals(
    images: Tensor, row_names: Sequence[str], values: Sequence[float], caption: str = ""
) -> Animation:
    """All latents moving there and back at once, each in its own cell below its name.

    Args:
        images: (rows, T, C, H, W) in [0, 1], one row per latent, T at least 2.
        row_names: of the latents.
        values: (T,), increasing: what the latents are set to, shown by a slider.
        caption: what is shown.

    Returns:
        2 T - 2 frames: the T, then those between the ends backwards.
    """
    cells = _enlarge(images)
    num_cells, num_frames, height, width = cells.shape[:4]
    columns = min(num_cells, MAX_COLUMNS)
    line = round(style.LINE * PIXELS_PER_INCH)
    across = max(columns * (width + SPACE) + SPACE, MIN_WIDTH)
    lines = style.wrap_text(caption, (across - 2 * SPACE) / PIXELS_PER_INCH)
    slider = SPACE // 2 + len(lines) * line + line // 2
    first = slider + line + SPACE
    pitch = line + height + SPACE
    places = [
        (first + i // columns * pitch + line, SPACE + i % columns * (width + SPACE))
        for i in range(num_cells)
    ]
    total = first + -(-num_cells // columns) * pitch
    texts = [(SPACE, SPACE // 2 + i * line, text) for i, text in enumerate(lines)]
    texts += [(x, y - line, n) for (y, x), n in zip(places, row_names, strict=True)]
    ends = [f"{values[0]:+.2g}", f"{values[-1]:+.2g}"]
    texts += [(SPACE, slider, ends[0]), (across - SPACE - 40, slider, ends[1])]
    track = (slider + line // 2, SPACE + 45, across - SPACE - 50)

    frames = np.repeat(_draw_background(total, across, texts)[None], num_frames, axis=0)
    for (top, left), cell in zip(places, cells, strict=True):
        frames[:, top : top + height, left : left + width] = cell
    for frame, value in zip(frames, values, strict=True):
        _draw_slider(frame, track, (value - values[0]) / (values[-1] - values[0]))
    return Animation(np.concatenate([frames, frames[-2:0:-1]]), caption)


def _enlarge(images: Tensor) -> np.ndarray:
    """(rows, T, C, H, W) in [0, 1] -> uint8 (rows, T, k H, k W, 3) for an integer k."""
    scale = max(1, round(CELL / max(images.shape[-2:])))
    pixels = np.round(to_rgb(images) * np.float32(255)).astype(np.uint8)
    return pixels.repeat(scale, axis=2).repeat(scale, axis=3)


def _draw_background(height: int, width: int, texts: Sequence[tuple[int, int, str]]) -> np.ndarray:
    """White uint8 (H, W, 3) with texts at (left, top) in pixels."""
    from matplotlib.figure import Figure

    size = (width + 0.5) / PIXELS_PER_INCH, (height + 0.5) / PIXELS_PER_INCH
    figure = Figure(figsize=size)
    for left, top, text in texts:
        x, y = left / (width + 0.5), 1 - top / (height + 0.5)
        figure.text(x, y, text, fontsize=style.FONT, ha="left", va="top")
    return to_array(figure, PIXELS_PER_INCH)[:height, :width]


def _draw_slider(frame: np.ndarray, track: tuple[int, int, int], position: float) -> None:
    """A knob at `position` in [0, 1] of the track (row, left, right)."""
    row, left, right = track
    frame[row - 1 : row + 1, left : right + 1] = TRACK_SHADE
    middle = round(left + position * (right - left))
    frame[row - 6 : row + 6, middle - 3 : middle + 4] = KNOB_SHADE
