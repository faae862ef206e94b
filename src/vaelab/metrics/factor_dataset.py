"""Images with ground-truth factors: rows to sample, and codes to look up by row."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.data.factors import require_few_values
from vaelab.errors import UserError, require, require_range

Rows = NDArray[np.int64]
CodesAt = Callable[[Rows], NDArray[np.floating]]


class FactorDataset:
    """N images with known factors, each with a code that is looked up by its row.

    Args:
        factors: (N, F), the values of the factors, of any type; equal values are one class.
        codes_at: rows (M,) -> codes (M, L).
        names: of the factors; "factor 0", "factor 1", ... by default.

    Attributes:
        factors: (N, F) int, the values of each factor numbered from 0 in their order.
        sizes: (F,), how many values each factor has.

    Raises:
        UserError: factors of another shape, or one that never varies.
    """

    def __init__(self, factors: ArrayLike, codes_at: CodesAt, names: Sequence[str] = ()):
        values = np.asarray(factors)
        require(
            values.ndim == 2 and values.size > 0,
            f"factors expects an array of shape (N, F), got {values.shape}; give one row per "
            "image.",
        )
        self.codes_at = codes_at
        self.names = tuple(names) or tuple(f"factor {f}" for f in range(values.shape[1]))
        require(
            len(self.names) == values.shape[1],
            f"names expects one for each of the {values.shape[1]} factors, got {self.names}; give "
            "as many.",
        )
        columns = [np.unique(column, return_inverse=True) for column in values.T]
        for name, (distinct, _) in zip(self.names, columns, strict=True):
            require(
                len(distinct) > 1,
                f"factors expects columns that vary, got {name} with the one value {distinct[0]}; "
                "leave it out.",
            )
            require_few_values(name, len(distinct), len(values))
        self.sizes = tuple(len(distinct) for distinct, _ in columns)
        dtype = np.min_scalar_type(max(self.sizes))
        self.factors = np.stack([numbers for _, numbers in columns], axis=1).astype(dtype)
        self._groups: dict[int, tuple[NDArray, NDArray, NDArray]] = {}

    @classmethod
    def of(cls, codes: ArrayLike, factors: ArrayLike, names: Sequence[str] = ()) -> "FactorDataset":
        """The dataset of given codes (N, L) and factors (N, F), both checked."""
        table = require_codes(codes)
        dataset = cls(factors, lambda rows: table[rows], names)
        require(
            len(table) == len(dataset),
            f"codes and factors expect the same number of rows, got {len(table)} rows of codes and "
            f"{len(dataset)} of factors; give one row of each per image.",
        )
        return dataset

    def with_codes_at(self, codes_at: CodesAt) -> "FactorDataset":
        """The same images with other codes; shares what is known of the factors."""
        other = copy.copy(self)
        other.codes_at = codes_at
        return other

    def __len__(self) -> int:
        return len(self.factors)

    @property
    def num_factors(self) -> int:
        """F."""
        return len(self.sizes)

    def require_two_factors(self) -> None:
        """Raise UserError for a single factor, of which there is nothing to distinguish."""
        num = self.num_factors
        require(num >= 2, f"factors expects at least 2 factors, got {num}; add one that varies.")

    def sample(self, num: int, rng: np.random.Generator) -> Rows:
        """Rows drawn uniformly with replacement: (num,)."""
        return rng.integers(len(self), size=num)

    def sample_given_factor(
        self, factor: int, values: NDArray[np.integer], rng: np.random.Generator
    ) -> Rows:
        """For every entry of `values`, of any shape, a row drawn among those with that value."""
        if factor not in self._groups:
            column = self.factors[:, factor]
            counts = np.bincount(column, minlength=self.sizes[factor])
            starts = np.cumsum(counts) - counts
            self._groups[factor] = np.argsort(column, kind="stable"), starts, counts
        order, starts, counts = self._groups[factor]
        return order[starts[values] + rng.integers(counts[values])]

    def codes(self, rows: Rows) -> NDArray[np.floating]:
        """The codes of rows of any shape: (*shape) -> (*shape, L)."""
        codes = self.codes_at(rows.ravel())
        return codes.reshape(*rows.shape, codes.shape[-1])

    def all_codes(self) -> NDArray[np.float64]:
        """The codes of all rows in float64: (N, L)."""
        return self.codes(np.arange(len(self))).astype(np.float64)


def require_codes(codes: ArrayLike) -> NDArray[np.floating]:
    """`codes` as a float array (N, L).

    Raises:
        UserError: another shape, or values that are NaN or infinite.
    """
    array = np.asarray(codes)
    array = array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)
    require(
        array.ndim == 2 and array.size > 0,
        f"codes expects an array of shape (N, L), got {array.shape}; give one row per image.",
    )
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f"codes expects finite numbers, got {array[row][~np.isfinite(array[row])][0]} in row "
            f"{row} ({bad.sum()} such rows); look for the step at which training diverged."
        )
    return array


def require_two_latents(num_latents: int) -> None:
    """Raise UserError for a single latent, which has no other to be compared with."""
    require(
        num_latents >= 2,
        f"codes expects at least 2 latents, got {num_latents}; use a model with a larger "
        "latent_dim.",
    )


def split_train_test(
    num: int, num_train: int | None, rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Rows 0 .. num - 1 in random order: some to fit to (default two thirds), the rest to test on.

    Raises:
        UserError: nothing would be left to fit to or to test on.
    """
    usual = round(num * 2 / 3)
    first = usual if num_train is None else num_train
    require_range(
        "num_train", first, at_least=1, below=num, integer=True, unit="images", example=usual
    )
    order = rng.permutation(num)
    return order[:first], order[first:]
