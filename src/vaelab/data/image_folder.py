"""A folder of pictures."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vaelab.data.cache import checksum
from vaelab.data.images import Images, Splits
from vaelab.data.splitting import split_fractions
from vaelab.errors import UserError, require

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
_GREY, _COLOUR = ("1", "L", "LA"), ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB")


class ImageFolder:
    """All pictures below a folder, in the order of their paths; all of one size.

    Pictures in sub-folders get the sub-folder as label, numbered in the order of the names.
    Transparency is dropped, and of an animation the first frame is taken.

    Args:
        root: the folder.
        val_fraction: of the pictures, for validation.
        test_fraction: of the pictures, held out; 0 for no test part.
        split_seed: which ones.
        channels: 1 converts to grey, 3 to colour; None keeps what the pictures have, which must
            then be the same in all.
    """

    name: ClassVar[str] = "image_folder"

    def __init__(
        self,
        root: str | Path,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        channels: int | None = None,
    ):
        require(
            channels in (1, 3, None),
            f"Expected data.channels to be 1 (grey), 3 (colour) or null but got {channels}. "
            "Write one of them.",
        )
        self.root, self.split_seed, self.channels = Path(root).expanduser(), split_seed, channels
        self.val_fraction, self.test_fraction = val_fraction, test_fraction

    def load(self) -> Splits:
        """Images (C, H, W) as bytes; `UserError` where the pictures don't fit each other."""
        paths = _pictures(self.root)
        first = _read(paths[0], self.channels)
        storage = torch.empty(len(paths), first.size, dtype=torch.uint8)

        def read_into(i: int) -> None:
            pixels = _read(paths[i], self.channels)
            _require_same(pixels.shape, first.shape, paths[i], paths[0])
            storage[i] = torch.from_numpy(pixels).flatten()

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for _ in pool.map(read_into, range(len(paths))):  # the first error is raised here
                pass
        channels, height, width = first.shape
        return split_fractions(
            Images(storage, (channels, height, width)),
            _labels(paths, self.root),
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.split_seed,
            checksum=checksum(storage.numpy()),
        )


def _pictures(root: Path) -> list[Path]:
    require(
        root.is_dir(),
        f"Expected a folder of pictures at {root} but there is none. Set data.root to one.",
    )
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    paths = [path for path in paths if not path.name.startswith(".")]  # macOS leaves ._name.png
    require(
        bool(paths),
        f"Expected pictures ({', '.join(SUFFIXES)}) below {root} but got none. Set data.root to "
        "the folder that holds them.",
    )
    return paths


def _read(path: Path, channels: int | None) -> NDArray[np.uint8]:
    """A picture as uint8 (C, H, W)."""
    try:
        with Image.open(path) as image:
            mode = image.mode
            if mode in _GREY + _COLOUR:
                grey = mode in _GREY if channels is None else channels == 1
                pixels = np.array(image.convert("L" if grey else "RGB"))
                return pixels[None] if grey else pixels.transpose(2, 0, 1).copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"Expected a picture in {path} but got: {error}. Mend the file or take it out."
        ) from error
    raise UserError(
        f"Expected a picture of 8 bits a channel in {path} but got the mode {mode}. Convert it, "
        "or store the images as an array and use data=array."
    )


def _require_same(
    got: tuple[int, ...], expected: tuple[int, ...], path: Path, first_path: Path
) -> None:
    require(
        got[1:] == expected[1:],
        f"Expected all pictures to be {expected[2]} x {expected[1]} pixels as {first_path} but "
        f"{path} has {got[2]} x {got[1]}. Resize them to one size first.",
    )
    require(
        got[0] == expected[0],
        f"Expected {expected[0]} channels as in {first_path} but {path} has {got[0]}. Set "
        "data.channels=1 for grey or data.channels=3 for colour.",
    )


def _labels(paths: list[Path], root: Path) -> Tensor | None:
    """(N,) the number of each picture's sub-folder, or None where there are no sub-folders."""
    folders = [path.parent.relative_to(root).as_posix() for path in paths]
    numbers = {folder: number for number, folder in enumerate(sorted(set(folders)))}
    if len(numbers) == 1:
        return None
    return torch.tensor([numbers[folder] for folder in folders])
