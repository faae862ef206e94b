"""Images in a NumPy file."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.annotations import read_annotations
from vaelab.data.cache import checksum
from vaelab.data.columns import UNREADABLE, require_room
from vaelab.data.images import Images, Splits
from vaelab.data.splitting import require_fractions, split_by_fractions
from vaelab.errors import UserError, nearest, require


class Array:
    """The images of a .npy or .npz file: (N, H, W), (N, C, H, W) or (N, H, W, C), C in {1, 3}.

    uint8 is from 0 to 255, bool is black and white, floats are in [0, 1]. Floats that are all
    multiples of 1/255 are stored as bytes, others as float32.

    Args:
        root: the file.
        key: name of the array in a .npz file; not needed where there is only one.
        val_fraction: fraction of the images for validation.
        test_fraction: fraction of the images held out for test; 0 for no test part.
        split_seed: seed of the split.
        factors: a file of ground-truth factors, one row per image: .npy (N, F), .npz of arrays (N,)
            or .csv with a header of names. Metrics of disentanglement need them.
        factor_names: of the columns of a .npy; "factor 0", "factor 1", ... where None.
        labels: a file of one class per image: .npy (N,), .csv with a header and one column, or
            .txt with one per line.

    Raises:
        UserError: no root, or fractions that leave nothing to train on.
    """

    name: ClassVar[str] = "array"

    def __init__(
        self,
        root: str | Path,
        key: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        factors: str | Path | None = None,
        factor_names: Sequence[str] | None = None,
        labels: str | Path | None = None,
    ):
        require(
            root is not None,
            "root expects a .npy or .npz file of images, got none; set it to a path.",
        )
        require_fractions(val_fraction, test_fraction)
        self.path, self.key, self.split_seed = Path(root).expanduser(), key, split_seed
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.factors, self.factor_names, self.labels = factors, factor_names, labels

    def load(self) -> Splits:
        """Images (C, H, W).

        Raises:
            UserError: no such file, an array of another shape, type or range, or files of factors
                or labels that do not fit it.
        """
        array = _channels_first(_read(self.path, self.key), self.path)
        found = read_annotations(
            len(array),
            factors=self.factors,
            factor_names=self.factor_names,
            labels=self.labels,
        )
        shape = (array.shape[1], array.shape[2], array.shape[3])
        storage, packed = _to_storage(array.reshape(len(array), -1), self.path)
        return split_by_fractions(
            Images(storage, shape, packed=packed),
            found,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.split_seed,
            checksum=checksum(storage.numpy(), *found.arrays()),
        )


def _read(path: Path, key: str | None) -> NDArray:
    require(
        path.is_file(),
        f"root expects a .npy or .npz file of images, got {path}, which is no file; correct it.",
    )
    try:
        if not zipfile.is_zipfile(path):
            return np.lib.format.open_memmap(path, mode="c")
        require_room(path, "root")
        with np.load(path, allow_pickle=False) as content:
            return content[_choose_key(list(content.files), key, path)]
    except UserError:
        raise
    except UNREADABLE as error:
        raise UserError(
            f"root expects an array of numbers, got {path}: {error}; save it with numpy.save, as "
            "uint8, bool or float32."
        ) from error


def _choose_key(keys: list[str], key: str | None, path: Path) -> str:
    if key is None and len(keys) == 1:
        return keys[0]
    if key not in keys:
        hint = nearest(key or "", keys, 1) or (keys[0] if keys else "KEY")
        raise UserError(
            f"key expects the name of one of the arrays in {path} ({', '.join(keys)}), got {key}; "
            f"try key={hint}."
        )
    return key


def _channels_first(array: NDArray, path: Path) -> NDArray:
    """Any of the accepted layouts as (N, C, H, W)."""
    if array.ndim == 3 and 0 not in array.shape:
        return array[:, None]
    first = array.ndim == 4 and array.shape[1] in (1, 3)
    last = array.ndim == 4 and array.shape[3] in (1, 3)
    require(
        first != last and 0 not in array.shape,
        f"root expects images (N, H, W), (N, C, H, W) or (N, H, W, C) with C 1 or 3, got "
        f"{array.shape}{', which can be read in two ways,' if first and last else ''} in {path}; "
        "reshape the array and save it again.",
    )
    return array if first else array.transpose(0, 3, 1, 2)


def _to_storage(rows: NDArray, path: Path) -> tuple[Tensor, bool]:
    """(N, pixels) as storage of `Images`, and whether it is packed bits."""
    if rows.dtype == np.bool_:
        if rows.shape[1] % 8 == 0:
            return torch.from_numpy(np.packbits(rows, axis=1)), True
        return torch.from_numpy(rows.astype(np.uint8) * np.uint8(255)), False
    if rows.dtype == np.uint8:
        require(
            rows.size == 0 or rows.max() > 1,
            f"root expects uint8 pixels from 0 to 255, got none above 1 in {path}; save black and "
            "white images as bool.",
        )
        return torch.from_numpy(np.ascontiguousarray(rows)), False
    require(
        np.issubdtype(rows.dtype, np.floating),
        f"root expects uint8, bool or float pixels, got {rows.dtype} in {path}; convert the array "
        "and save it again.",
    )
    low, high = (rows.min(), rows.max()) if rows.size else (0, 0)
    require(
        bool(low >= 0 and high <= 1),  # false for NaN too
        f"root expects float pixels in [0, 1], got {low} to {high} in {path}; scale them (divide "
        "bytes by 255), replace NaN, and save the array again.",
    )
    levels = np.rint(rows * 255)
    if np.array_equal((levels / 255).astype(rows.dtype), rows):
        return torch.from_numpy(levels.astype(np.uint8)), False
    return torch.from_numpy(rows.astype(np.float32)), False
