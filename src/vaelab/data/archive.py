"""Reads the original dSprites archive, a few megabytes at a time and without unpickling."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray

from vaelab.data.factors import FactorSpace
from vaelab.errors import UserError, require

_CHUNK = 4096  # images
_ADVICE = "use the original archive, or source=rendered"


def read_packed_chunks(
    path: Path, space: FactorSpace, image_size: int
) -> Iterator[NDArray[np.uint8]]:
    """The images of an archive, packed to bits: uint8 (n, image_size**2 / 8) at a time.

    Only the members `imgs` (N, H, W) uint8 in {0, 1} and `latents_classes` (N, 6) int64 are read.
    `metadata` is a pickle, which could run any code, and is not opened.

    Args:
        path: the .npz file.
        space: the factors that the images are expected to have, in storage order.
        image_size: the expected H and W.

    Raises:
        UserError: not an archive of these images, or one in another order.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            with archive.open("latents_classes.npy") as member:
                _require_order(member, path, space)
            with archive.open("imgs.npy") as member:
                yield from _read_packed(member, path, (len(space), image_size, image_size))
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise UserError(
            f"source=archive expects the dSprites archive with imgs and latents_classes at {path}, "
            f"got: {error}; delete the file and run again, or use source=rendered."
        ) from error


def _require_order(member: IO[bytes], path: Path, space: FactorSpace) -> None:
    """Require that image i shows factors.unravel(i), after the colour, which has one value."""
    shape = (len(space), 1 + space.num_factors)
    _require_header(member, path, "latents_classes", shape, np.dtype("<i8"))
    classes = np.frombuffer(_read_exactly(member, shape[0] * shape[1] * 8), "<i8").reshape(shape)
    expected = space.unravel(torch.arange(len(space))).numpy()
    require(
        np.array_equal(classes[:, 1:], expected) and not classes[:, 0].any(),
        f"latents_classes of {path} expects images in the order {', '.join(space.names)}, the last "
        f"changing fastest, got another order; {_ADVICE}.",
    )


def _read_packed(
    member: IO[bytes], path: Path, shape: tuple[int, int, int]
) -> Iterator[NDArray[np.uint8]]:
    _require_header(member, path, "imgs", shape, np.dtype(np.uint8))
    num_pixels = shape[1] * shape[2]
    for start in range(0, shape[0], _CHUNK):
        num = min(_CHUNK, shape[0] - start)
        pixels = np.frombuffer(_read_exactly(member, num * num_pixels), np.uint8)
        require(
            pixels.max() <= 1,
            f"imgs of {path} expects pixels 0 and 1, got {pixels.max()}; {_ADVICE}.",
        )
        yield np.packbits(pixels.reshape(num, num_pixels), axis=1)


def _require_header(
    member: IO[bytes], path: Path, key: str, shape: tuple[int, ...], dtype: np.dtype
) -> None:
    """Read the .npy header, which is a literal and no pickle, and compare."""
    try:
        version = np.lib.format.read_magic(member)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        got = read(member)
    except ValueError as error:
        raise EOFError(f"{key} is no .npy member ({error})") from error
    require(
        got == (shape, False, dtype),
        f"{key} of {path} expects {dtype} {shape} in C order, got {got[2]} {got[0]}; use the "
        "original archive, factor_sizes and image_size that fit it, or source=rendered.",
    )


def _read_exactly(member: IO[bytes], num_bytes: int) -> bytes:
    content = member.read(num_bytes)
    if len(content) != num_bytes:
        raise EOFError(f"{num_bytes - len(content)} bytes too few")
    return content
