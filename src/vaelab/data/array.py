"""Images in a NumPy file."""

import zipfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.cache import checksum
from vaelab.data.images import Images, Splits
from vaelab.data.splitting import split_fractions
from vaelab.errors import UserError, nearest, require


class Array:
    """The images of a .npy or .npz file: (N, H, W), (N, C, H, W) or (N, H, W, C), C in {1, 3}.

    uint8 counts from 0 to 255, bool is black and white, floats are in [0, 1]. Floats that are all
    multiples of 1/255 are kept as bytes, others as float32.

    Args:
        root: the file.
        key: the array's name in a .npz file; not needed where there is one array.
        val_fraction: of the images, for validation.
        test_fraction: of the images, held out; 0 for no test part.
        split_seed: which ones.
    """

    name: ClassVar[str] = "array"

    def __init__(
        self,
        root: str | Path,
        key: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
    ):
        self.path, self.key, self.split_seed = Path(root).expanduser(), key, split_seed
        self.val_fraction, self.test_fraction = val_fraction, test_fraction

    def load(self) -> Splits:
        """Images (C, H, W); `UserError` for an array that isn't what the class says."""
        array = _channels_first(_read(self.path, self.key), self.path)
        shape = (array.shape[1], array.shape[2], array.shape[3])
        storage, packed = _storage(array.reshape(len(array), -1), self.path)
        return split_fractions(
            Images(storage, shape, packed=packed),
            None,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.split_seed,
            checksum=checksum(storage.numpy()),
        )


def _read(path: Path, key: str | None) -> NDArray:
    require(
        path.is_file(),
        f"Expected a .npy or .npz file at {path} but there is none. Set data.root to the file.",
    )
    try:
        if not zipfile.is_zipfile(path):
            return np.lib.format.open_memmap(path, mode="c")
        with np.load(path, allow_pickle=False) as content:
            return content[_chosen(list(content.files), key, path)]
    except UserError:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"Expected an array of numbers in {path} but got: {error}. Save it with numpy.save, "
            "as uint8, bool or float32."
        ) from error


def _chosen(keys: list[str], key: str | None, path: Path) -> str:
    if key is None and len(keys) == 1:
        return keys[0]
    if key not in keys:
        hint = nearest(key or "", keys, 1) or (keys[0] if keys else "KEY")
        raise UserError(
            f"Expected the name of one of the arrays in {path} ({', '.join(keys)}) but got {key}. "
            f"Write data.key={hint}."
        )
    return key


def _channels_first(array: NDArray, path: Path) -> NDArray:
    """Any of the accepted layouts as (N, C, H, W)."""
    if array.ndim == 3:
        return array[:, None]
    first = array.ndim == 4 and array.shape[1] in (1, 3)
    last = array.ndim == 4 and array.shape[3] in (1, 3)
    require(
        first != last and 0 not in array.shape,
        f"Expected (N, H, W), (N, C, H, W) or (N, H, W, C) with C 1 or 3 in {path} but got "
        f"{array.shape}{', which can be read in two ways' if first and last else ''}. Reshape it "
        "and save it again.",
    )
    return array if first else array.transpose(0, 3, 1, 2)


def _storage(rows: NDArray, path: Path) -> tuple[Tensor, bool]:
    """(N, pixels) as storage, and whether it is packed bits."""
    if rows.dtype == np.bool_:
        if rows.shape[1] % 8 == 0:
            return torch.from_numpy(np.packbits(rows, axis=1)), True
        return torch.from_numpy(rows.astype(np.uint8) * np.uint8(255)), False
    if rows.dtype == np.uint8:
        require(
            rows.size == 0 or rows.max() > 1,
            f"Expected uint8 pixels from 0 to 255 in {path} but got none above 1. Save the array "
            "as bool for black and white.",
        )
        return torch.from_numpy(np.ascontiguousarray(rows)), False
    require(
        np.issubdtype(rows.dtype, np.floating),
        f"Expected uint8, bool or float in {path} but got {rows.dtype}. Convert it and save it "
        "again.",
    )
    low, high = (rows.min(), rows.max()) if rows.size else (0, 0)
    require(
        bool(low >= 0 and high <= 1),  # false for NaN too
        f"Expected floats in [0, 1] in {path} but got {low} to {high}. Scale them (for bytes "
        "divide by 255), replace NaN, and save the array again.",
    )
    levels = np.rint(rows * 255)
    if np.array_equal((levels / 255).astype(rows.dtype), rows):
        return torch.from_numpy(levels.astype(np.uint8)), False
    return torch.from_numpy(rows.astype(np.float32)), False
