"""Draws the dSprites images from their factors, by scan conversion of the outlines.

Every shape is a closed curve; a pixel belongs to it if its centre is inside. An image row is a
machine word of one bit per pixel: each crossing of the outline with the row flips all pixels to
its left, so the row is the xor of a few words from a table (even-odd rule), whatever the shape.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vaelab.errors import require, require_choice

VERSION = 1  # part of the cache's name: increment it whenever a pixel changes
FACTORS = ("shape", "scale", "orientation", "posX", "posY")
SHAPES = ("square", "ellipse", "heart")
SIZES = (3, 6, 40, 32, 32)

_VERTICES = 2**14  # the polygon is within 1e-5 pixels of the curve it approximates
_NOWHERE = -1e4  # a crossing far to the left of the image flips nothing


def render(
    sizes: Sequence[int] = SIZES,
    image_size: int = 64,
    shapes: Sequence[int] = (0, 1, 2),
) -> NDArray[np.uint8]:
    """Draw every combination of the factors.

    With dx, dy measured from the sprite's centre (16 + 32 posX, 16 + 32 posY) to a pixel's centre,
    u = (cos t dx + sin t dy) / s and v = (-sin t dx + cos t dy) / s, a pixel is white where (u, v)
    is inside the outline of the shape. Scale s goes from 0.5 to 1, orientation t from 0 to 2 pi
    (so the first and the last give the same image, as in the original), posX and posY from 0 to
    1, all in equal steps; a factor with a single value takes s = 1, t = 0 and the middle.

    Args:
        sizes: numbers of shapes, scales, orientations, posX, posY.
        image_size: height and width, 16, 32 or 64; the geometry above is for 64 and scales with it.
        shapes: which shapes, in order: 0 square, 1 ellipse, 2 heart.

    Returns:
        uint8 (N, image_size**2 / 8): one row per image, posY fastest; bits as `numpy.packbits`.

    Raises:
        UserError: sizes, image_size or shapes out of range.

    Source: the outlines are fitted to the 320 frames published with the data set, of whose
    1,310,720 pixels 20 differ (Matthey et al., dSprites: Disentanglement testing Sprites dataset,
    2017, https://github.com/google-deepmind/dsprites-dataset).
    """
    require_arguments(sizes, image_size, shapes)
    unit = image_size / 64
    table = _words_of_left_pixels(image_size)
    scales = _steps(0.5, 1.0, sizes[1], single=1.0) * unit
    angles = _steps(0.0, 2 * np.pi, sizes[2], single=0.0)
    centre_x = (16 + 32 * _steps(0.0, 1.0, sizes[3], single=0.5)) * unit
    centre_y = (16 + 32 * _steps(0.0, 1.0, sizes[4], single=0.5)) * unit
    row_y = np.arange(image_size) + 0.5 - centre_y[:, None]  # (posY, row)
    images = np.zeros((*sizes, image_size), table.dtype)
    for i, shape in enumerate(shapes):
        for k, angle in enumerate(angles):
            branches = _split_at_turns(_rotate(_outline(shape), angle))
            for j, scale in enumerate(scales):
                _draw(images[i, j, k], branches, scale, centre_x, row_y, table)
    return images.reshape(-1, image_size).view(np.uint8)


def _draw(
    images: NDArray,
    branches: list[NDArray],
    scale: float,
    centre_x: NDArray,
    row_y: NDArray,
    table: NDArray,
) -> None:
    """One sprite at all positions: images are words (posX, posY, row), zero at first."""
    for y, x in branches:
        crossing = scale * np.interp(row_y / scale, y, x, left=_NOWHERE, right=_NOWHERE)
        # Pixel k is left of the crossing if k + 1/2 < crossing: so many pixels flip.
        num_left = np.ceil(crossing - 0.5 + centre_x[:, None, None]).astype(np.intp)
        images ^= table.take(num_left, mode="clip")


def _outline(shape: int) -> NDArray[np.float64]:
    """A shape's outline at s = 1 and t = 0 as a closed polygon: (2, vertices), first = last."""
    if shape == 0:
        return 9.5998 * np.array([[-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1]], np.float64)
    a = np.linspace(0, 2 * np.pi, _VERTICES + 1)
    if shape == 1:
        return np.stack([12.76 * np.cos(a), 7.215 * np.sin(a)])
    v = 13 * np.cos(a) - 5 * np.cos(2 * a) - 2 * np.cos(3 * a) - np.cos(4 * a)
    return np.stack([0.5997 * 16 * np.sin(a) ** 3, -0.66216 * v - 1.4365])


def _rotate(outline: NDArray, angle: float) -> NDArray:
    """The polygon rotated by an angle, the inverse of the rotation of (dx, dy) to (u, v)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]]) @ outline


def _split_at_turns(polygon: NDArray) -> list[NDArray]:
    """Split a closed polygon where y changes direction: pieces (2, n) of (y, x) with y rising.

    A row then crosses every piece at most once, at a point given by linear interpolation.
    """
    x, y = np.roll(polygon[:, :-1], -polygon[1, :-1].argmin(), axis=1)
    x, y = np.append(x, x[0]), np.append(y, y[0])
    rising = np.diff(y) > 0
    turns = np.flatnonzero(rising[1:] != rising[:-1]) + 1
    pieces = [np.stack([y[a : b + 1], x[a : b + 1]]) for a, b in pairwise([0, *turns, len(rising)])]
    return [piece if piece[0, -1] > piece[0, 0] else piece[:, ::-1] for piece in pieces]


def _words_of_left_pixels(image_size: int) -> NDArray:
    """Words (image_size + 1,): in entry n the first n pixels of a row are white."""
    white = np.arange(image_size) < np.arange(image_size + 1)[:, None]
    return np.packbits(white, axis=1).view(f"u{image_size // 8}").squeeze(1)


def _steps(low: float, high: float, num: int, single: float) -> NDArray[np.float64]:
    """`num` equally spaced values, or `single` if there is only one."""
    return np.linspace(low, high, num) if num > 1 else np.array([single])


def require_arguments(sizes: Sequence[int], image_size: int, shapes: Sequence[int]) -> None:
    """Raise a `UserError` for what `render` can't draw."""
    require_choice("image_size", image_size, (16, 32, 64))
    require(
        len(sizes) == len(FACTORS) and min(sizes) >= 1,
        f"factor_sizes expects five numbers of at least 1 ({', '.join(FACTORS)}), got "
        f"{tuple(sizes)}; try {list(SIZES)}.",
    )
    known = ", ".join(f"{i} ({name})" for i, name in enumerate(SHAPES))
    require(
        len(shapes) == sizes[0] == len(set(shapes)) and set(shapes) <= {0, 1, 2},
        f"shapes expects {sizes[0]} different ones of {known}, as many as factor_sizes says, got "
        f"{tuple(shapes)}; try {list(range(len(SHAPES)))[: sizes[0]]}.",
    )
