"""A folder of image files."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vaelab.data.annotations import read_annotations
from vaelab.data.cache import checksum
from vaelab.data.images import Images, Splits
from vaelab.data.splitting import require_fractions, split_by_fractions
from vaelab.errors import UserError, require

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
_GREY, _COLOUR = ("1", "L", "LA"), ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB")


class ImageFolder:
    """All images in a folder and its sub-folders, in the order of their paths, all of one size.

    Images in sub-folders are labelled by sub-folder, numbered in the order of the names, unless
    `labels` are given.
    Transparency is dropped, and of an animation the first frame is taken.

    Args:
        root: the folder.
        val_fraction: fraction of the images for validation.
        test_fraction: fraction of the images held out for test; 0 for no test part.
        split_seed: seed of the split.
        channels: 1 converts to grey, 3 to colour; None keeps what the images have, which must
            then be the same in all.
        factors: a file of ground-truth factors, one row per image in the order of the paths: .npy
            (N, F), .npz of arrays (N,) or .csv with a header of names. A .csv may have its rows in
            any order after a first column `file`, the path below root. Metrics of disentanglement
            need factors.
        factor_names: of the columns of a .npy; "factor 0", "factor 1", ... where None.
        labels: a file of one class per image, in place of the sub-folders: .npy (N,), .csv with a
            header and one column (after `file`, if that is there), or .txt with one per line.

    Raises:
        UserError: no root, other channels, or fractions that leave nothing to train on.
    """

    name: ClassVar[str] = "image_folder"

    def __init__(
        self,
        root: str | Path,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        channels: int | None = None,
        factors: str | Path | None = None,
        factor_names: Sequence[str] | None = None,
        labels: str | Path | None = None,
    ):
        require(root is not None, "root expects a folder of images, got none; set it to a path.")
        require(
            channels in (1, 3, None),
            f"channels expects 1 (grey), 3 (colour) or null, got {channels}; try 3.",
        )
        require_fractions(val_fraction, test_fraction)
        self.root, self.split_seed, self.channels = Path(root).expanduser(), split_seed, channels
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.factors, self.factor_names, self.labels = factors, factor_names, labels

    def load(self) -> Splits:
        """Images (C, H, W) as bytes.

        Raises:
            UserError: no such folder, unreadable images, different sizes or channels, or files of
                factors or labels that do not fit.
        """
        paths = _find_images(self.root)
        found = read_annotations(
            len(paths),
            factors=self.factors,
            factor_names=self.factor_names,
            labels=self.labels,
            files=[path.relative_to(self.root).as_posix() for path in paths],
        )
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
        digest = checksum(storage.numpy(), *found.arrays())
        if found.labels is None:
            labels, class_names = _label_by_folder(paths, self.root)
            found = replace(found, labels=labels, class_names=class_names)
        return split_by_fractions(
            Images(storage, (channels, height, width)),
            found,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.split_seed,
            checksum=digest,
        )


def _find_images(root: Path) -> list[Path]:
    require(
        root.is_dir(),
        f"root expects a folder of images, got {root}, which is no folder; correct it.",
    )
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    paths = [path for path in paths if not path.name.startswith(".")]  # macOS leaves ._name.png
    require(
        bool(paths),
        f"root expects a folder with images ({', '.join(SUFFIXES)}), got none in {root}; set it to "
        "the folder that has them.",
    )
    return paths


def _read(path: Path, channels: int | None) -> NDArray[np.uint8]:
    """An image as uint8 (C, H, W)."""
    try:
        with Image.open(path) as image:
            mode = image.mode
            if mode in _GREY + _COLOUR:
                grey = mode in _GREY if channels is None else channels == 1
                pixels = np.array(image.convert("L" if grey else "RGB"))
                return pixels[None] if grey else pixels.transpose(2, 0, 1).copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"root expects a folder of images, got in {path}: {error}; fix the file or remove it."
        ) from error
    raise UserError(
        f"root expects images of 8 bits per channel, got mode {mode} in {path}; convert it, or "
        "store the images as an array and use data=array."
    )


def _require_same(
    got: tuple[int, ...], expected: tuple[int, ...], path: Path, first_path: Path
) -> None:
    require(
        got[1:] == expected[1:],
        f"root expects images of one size, {expected[2]} x {expected[1]} pixels as {first_path}, "
        f"got {got[2]} x {got[1]} in {path}; resize them to one size first.",
    )
    require(
        got[0] == expected[0],
        f"root expects the same number of channels in all images, {expected[0]} as {first_path}, "
        f"got {got[0]} in {path}; try channels=1 for grey or channels=3 for colour.",
    )


def _label_by_folder(paths: list[Path], root: Path) -> tuple[Tensor | None, tuple[str, ...] | None]:
    """(N,) the number of each image's sub-folder and their names; None without sub-folders."""
    folders = [path.parent.relative_to(root).as_posix() for path in paths]
    names = sorted(set(folders))
    if len(names) == 1:
        return None, None
    numbers = {folder: number for number, folder in enumerate(names)}
    return torch.tensor([numbers[folder] for folder in folders]), tuple(names)
