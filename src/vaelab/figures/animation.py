"""Animations: frames of pixels, made without matplotlib but for their words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from vaelab.figures import page
from vaelab.figures.pixels import to_array

PIXELS_PER_INCH = 144
CELL = 110  # pixels, about
MAX_COLUMNS = 5
SPACE = 12  # pixels between the cells
NARROWEST = 430  # pixels, so that the caption has room
INK = 60  # shade of the slider
TRACK = 200  # shade of what it slides on


@dataclass(frozen=True, eq=False)
class Animation:
    """Frames that are shown one after the other, for ever.

    Attributes:
        frames: (T, H, W, 3) uint8.
        caption: what is shown; the frames say it too.
        seconds_per_frame: how long each stays.
    """

    frames: np.ndarray
    caption: str
    seconds_per_frame: float = 0.06


def animated_traversals(
    images: Tensor, row_names: Sequence[str], values: Sequence[float], caption: str = ""
) -> Animation:
    """All latents moving at once, each in a cell of its own under its name, there and back.

    Args:
        images: (rows, T, C, H, W) in [0, 1], T at least 2: one latent a row.
        row_names: of the latents.
        values: (T,), rising: what the latents are set to, shown by the slider.
        caption: what is shown.

    Returns:
        2 T - 2 frames: the T, then those between the ends backwards.
    """
    cells = _enlarged(images)
    num_cells, num_frames, height, width = cells.shape[:4]
    columns = min(num_cells, MAX_COLUMNS)
    line = round(page.LINE * PIXELS_PER_INCH)
    across = max(columns * (width + SPACE) + SPACE, NARROWEST)
    lines = page.wrap(caption, (across - 2 * SPACE) / PIXELS_PER_INCH)
    slider = SPACE // 2 + len(lines) * line + line // 2
    first = slider + line + SPACE
    pitch = line + height + SPACE
    places = [
        (first + i // columns * pitch + line, SPACE + i % columns * (width + SPACE))
        for i in range(num_cells)
    ]
    total = first + -(-num_cells // columns) * pitch
    words = [(SPACE, SPACE // 2 + i * line, text) for i, text in enumerate(lines)]
    words += [(x, y - line, n) for (y, x), n in zip(places, row_names, strict=True)]
    ends = [f"{values[0]:+.2g}", f"{values[-1]:+.2g}"]
    words += [(SPACE, slider, ends[0]), (across - SPACE - 40, slider, ends[1])]
    track = (slider + line // 2, SPACE + 45, across - SPACE - 50)

    frames = np.repeat(_paper(total, across, words)[None], num_frames, axis=0)
    for (top, left), cell in zip(places, cells, strict=True):
        frames[:, top : top + height, left : left + width] = cell
    for frame, value in zip(frames, values, strict=True):
        _draw_slider(frame, track, (value - values[0]) / (values[-1] - values[0]))
    return Animation(np.concatenate([frames, frames[-2:0:-1]]), caption)


def _enlarged(images: Tensor) -> np.ndarray:
    """(rows, T, C, H, W) in [0, 1] -> uint8 (rows, T, k H, k W, 3) for a whole k."""
    scale = max(1, round(CELL / max(images.shape[-2:])))
    shades = images.detach().float().clamp(0, 1).mul(255).round().byte().cpu()
    pixels = shades.movedim(2, -1).numpy()
    pixels = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1].repeat(3, axis=-1)
    return pixels.repeat(scale, axis=2).repeat(scale, axis=3)


def _paper(height: int, width: int, words: Sequence[tuple[int, int, str]]) -> np.ndarray:
    """White paper with words at (left, top) in pixels: uint8 (H, W, 3)."""
    from matplotlib.figure import Figure

    size = (width + 0.5) / PIXELS_PER_INCH, (height + 0.5) / PIXELS_PER_INCH
    figure = Figure(figsize=size)
    for left, top, text in words:
        x, y = left / (width + 0.5), 1 - top / (height + 0.5)
        figure.text(x, y, text, fontsize=page.FONT, ha="left", va="top")
    return to_array(figure, PIXELS_PER_INCH)[:height, :width]


def _draw_slider(frame: np.ndarray, track: tuple[int, int, int], where: float) -> None:
    """A knob at `where` in [0, 1] of the track (row, left, right)."""
    row, left, right = track
    frame[row - 1 : row + 1, left : right + 1] = TRACK
    middle = round(left + where * (right - left))
    frame[row - 6 : row + 6, middle - 3 : middle + 4] = INK
