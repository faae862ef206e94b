"""Annotations of a user's own images: ground-truth factors and class labels from files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.columns import read_columns
from vaelab.data.factors import FactorTable
from vaelab.data.labels import number_labels
from vaelab.errors import require

_UNNAMED = (".npy", ".txt")  # whose columns have no names


@dataclass(frozen=True)
class Annotations:
    """What files say of N images; None for what no file says.

    Attributes:
        factors: of image 0 .. N - 1.
        labels: (N,) int64 classes from 0.
        class_names: of the labels, where they are not their numbers.
    """

    factors: FactorTable | None = None
    labels: Tensor | None = None
    class_names: tuple[str, ...] | None = None

    def arrays(self) -> list[NDArray]:
        """All of it, for a checksum; none where there are no files."""
        arrays = [] if self.factors is None else self.factors.arrays()
        if self.labels is not None:
            arrays += [self.labels.numpy(), np.array(self.class_names or "numbers")]
        return arrays


def read_annotations(
    num_images: int,
    *,
    factors: str | Path | None,
    factor_names: Sequence[str] | None,
    labels: str | Path | None,
    files: Sequence[str] | None = None,
) -> Annotations:
    """Read the files of factors and of labels, where there are any.

    Args:
        num_images: N; the files have one row per image.
        factors: .npy (N, F), .npz of arrays (N,), or .csv with a header.
        factor_names: of the columns of a .npy; "factor 0", "factor 1", ... where None.
        labels: .npy (N,), .csv with a header and one column, or .txt of one class per line.
        files: the paths of the images in their order, which a column `file` of a .csv names.

    Raises:
        UserError: a file that is not so, or other names.
    """
    table, numbers, names = None, None, None
    for argument, value in (("factors", factors), ("labels", labels)):
        require(
            value is None or isinstance(value, str | Path),
            f"{argument} expects a file, got {value!r}; set it to a path, or to null for none.",
        )
    require(
        factor_names is None
        or (isinstance(factor_names, Sequence) and not isinstance(factor_names, str)),
        f"factor_names expects a list of names, got {factor_names!r}; try [shape, scale].",
    )
    require(
        factor_names is None or (factors is not None and Path(factors).suffix in _UNNAMED),
        f"factor_names expects factors in a .npy file, got {factors}; leave it out, since other "
        "files hold the names.",
    )
    if factors is not None:
        table = _read_factors(Path(factors).expanduser(), factor_names, num_images, files)
    if labels is not None:
        numbers, names = _read_labels(Path(labels).expanduser(), num_images, files)
    return Annotations(table, numbers, names)


def _read_factors(
    path: Path, names: Sequence[str] | None, num_images: int, files: Sequence[str] | None
) -> FactorTable:
    columns = read_columns(path, "factors", num_images, files)
    if path.suffix in _UNNAMED:
        chosen = [f"factor {name}" for name in columns] if names is None else [*map(str, names)]
        require(
            len(chosen) == len(columns) == len(set(chosen)) and all(chosen),
            f"factor_names expects a distinct name for each of {len(columns)} columns of {path}, "
            f"got {chosen}; give as many.",
        )
        columns = dict(zip(chosen, columns.values(), strict=True))
    return FactorTable(columns)


def _read_labels(
    path: Path, num_images: int, files: Sequence[str] | None
) -> tuple[Tensor, tuple[str, ...] | None]:
    columns = read_columns(path, "labels", num_images, files)
    require(
        len(columns) == 1,
        f"labels expects one class per image, got {len(columns)} columns in {path}; leave one, or "
        "give them as factors.",
    )
    return number_labels(*columns.values())
