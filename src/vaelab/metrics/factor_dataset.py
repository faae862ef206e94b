"""Images with known factors, as metrics see them: rows to draw and codes to look up."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import UserError, require

FEW = 200  # images, below which a factor may have a value of its own for each
CodesAt = Callable[[NDArray[np.int64]], NDArray[np.floating]]


class FactorDataset:
    """N images whose factors are known, each with a code that is looked up by row.

    Args:
        factors: (N, F), the values of the factors, of any type; equal values are one class.
        codes_at: rows (M,) -> codes (M, L).
        names: of the factors; "factor 0", "factor 1", ... by default.

    Attributes:
        factors: (N, F) int, the values of each factor numbered from 0 in their order.
        sizes: (F,) numbers of values.

    Raises:
        UserError: factors of another shape, or one that never changes.
    """

    def __init__(self, factors: ArrayLike, codes_at: CodesAt, names: Sequence[str] = ()):
        values = np.asarray(factors)
        require(
            values.ndim == 2 and values.size > 0,
            f"factors expects an array of shape (N, F), one row an image, got {values.shape}.",
        )
        self.codes_at = codes_at
        self.names = tuple(names) or tuple(f"factor {f}" for f in range(values.shape[1]))
        require(
            len(self.names) == values.shape[1],
            f"factors of shape {values.shape} expects {values.shape[1]} names, got {self.names}.",
        )
        columns = [np.unique(column, return_inverse=True) for column in values.T]
        for name, (distinct, _) in zip(self.names, columns, strict=True):
            require(
                len(distinct) > 1,
                f"a metric expects factors that vary, got {name} with the one value "
                f"{distinct[0]}; leave it out.",
            )
            require(
                len(distinct) <= len(values) / 2 or len(values) < FEW,
                f"a metric expects factors of few values, got {name} with {len(distinct)} values "
                f"in {len(values)} images; cut it into classes, or give more images.",
            )
        self.sizes = tuple(len(distinct) for distinct, _ in columns)
        dtype = np.min_scalar_type(max(self.sizes))
        self.factors = np.stack([numbers for _, numbers in columns], axis=1).astype(dtype)
        self._groups: dict[int, tuple[NDArray, NDArray, NDArray]] = {}

    @classmethod
    def of(cls, codes: ArrayLike, factors: ArrayLike, names: Sequence[str] = ()) -> "FactorDataset":
        """The dataset of given codes (N, L) and factors (N, F), both checked."""
        table = checked_codes(codes)
        dataset = cls(factors, lambda rows: table[rows], names)
        require(
            len(table) == len(dataset),
            f"codes and factors expect one row an image each, got {len(table)} rows of codes and "
            f"{len(dataset)} of factors.",
        )
        return dataset

    def with_codes_at(self, codes_at: CodesAt) -> "FactorDataset":
        """The same images with other codes; what was found out about the factors is shared."""
        other = copy.copy(self)
        other.codes_at = codes_at
        return other

    def __len__(self) -> int:
        return len(self.factors)

    @property
    def num_factors(self) -> int:
        """F."""
        return len(self.sizes)

    def draw(self, num: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Rows drawn uniformly with replacement: (num,)."""
        return rng.integers(len(self), size=num)

    def sample_given_factor(
        self, factor: int, values: NDArray[np.integer], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """For every entry of `values`, of any shape, a row drawn among those with that value."""
        if factor not in self._groups:
            column = self.factors[:, factor]
            counts = np.bincount(column, minlength=self.sizes[factor])
            starts = np.cumsum(counts) - counts
            self._groups[factor] = np.argsort(column, kind="stable"), starts, counts
        order, starts, counts = self._groups[factor]
        return order[starts[values] + rng.integers(counts[values])]

    def codes(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        """The codes of rows of any shape: (*shape) -> (*shape, L)."""
        codes = self.codes_at(rows.ravel())
        return codes.reshape(*rows.shape, codes.shape[-1])


def checked_codes(codes: ArrayLike) -> NDArray[np.floating]:
    """`codes` as a float array (N, L).

    Raises:
        UserError: another shape, or values that are NaN or infinite.
    """
    array = np.asarray(codes)
    array = array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)
    require(
        array.ndim == 2 and array.size > 0,
        f"codes expects an array of shape (N, L), one row an image, got {array.shape}.",
    )
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f"a metric expects finite codes, got {array[row][~np.isfinite(array[row])][0]} in row "
            f"{row} ({bad.sum()} such rows); look for the step at which training diverged."
        )
    return array


def split_rows(
    num: int, num_train: int | None, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows 0 .. num - 1 in random order as a part to fit (default two thirds) and one to test on.

    Raises:
        UserError: nothing would be left to fit or to test on.
    """
    first = round(num * 2 / 3) if num_train is None else num_train
    require(
        0 < first < num,
        f"num_train expects at least 1 and less than the {num} samples given, got {first}.",
    )
    order = rng.permutation(num)
    return order[:first], order[first:]
