"""Ground-truth factors: which image shows which values."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vaelab.data.columns import require_column
from vaelab.errors import UserError, nearest, require

FEW = 200  # images, below which a factor may have another value for each image


class Factors(ABC):
    """F discrete factors and their values in each image, numbered from 0.

    Attributes:
        names: F distinct factor names.
        sizes: F numbers of values; factor f takes 0 .. sizes[f] - 1.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @abstractmethod
    def values(self, index: Tensor, name: str) -> Tensor:
        """Values of one factor by image number: int (...) -> int64 (...)."""

    @abstractmethod
    def value_names(self, name: str) -> tuple[str, ...]:
        """What figures call the values 0, 1, ... of a factor."""

    @property
    def num_factors(self) -> int:
        """F."""
        return len(self.names)

    @property
    def varying(self) -> tuple[str, ...]:
        """The names of the factors with more than one value."""
        return tuple(n for n, size in zip(self.names, self.sizes, strict=True) if size > 1)

    def position(self, name: str) -> int:
        """The position f of a factor in `names`.

        Raises:
            UserError: there is no factor of that name.
        """
        if name not in self.names:
            same = [known for known in self.names if known.lower() == name.lower()]
            hint = ", ".join(same) or nearest(name, self.names) or ", ".join(self.names)
            raise UserError(
                f"factor expects one of {', '.join(self.names)}, got {name!r}; try {hint}."
            )
        return self.names.index(name)

    def unravel(self, index: Tensor) -> Tensor:
        """Values of all factors by image number: int (...) -> int64 (..., F)."""
        return torch.stack([self.values(index, name) for name in self.names], -1)

    def require_values(self, name: str, values: Tensor) -> None:
        """Raise a `UserError` for a value that the factor does not take."""
        size = self.sizes[self.position(name)]
        wrong = values[(values < 0) | (values >= size)]
        if len(wrong):
            raise UserError(
                f"factor {name!r} expects values from 0 to {size - 1}, got {wrong[0].item()}; "
                "count from 0."
            )


@dataclass(frozen=True)
class FactorSpace(Factors):
    """All combinations of F discrete factors, one image each, the last factor changing fastest.

        index = sum_f factors[f] * prod_{g > f} sizes[g]

    Args:
        names: F distinct factor names.
        sizes: F numbers of values, each at least 1; factor f takes 0 .. sizes[f] - 1.

    Raises:
        UserError: names and sizes that don't fit together.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        require(
            len(self.names) == len(self.sizes) == len(set(self.names))
            and min(self.sizes, default=0) >= 1,
            f"names and sizes expect distinct factor names, each with a size of at least 1, got "
            f"{self.names} and {self.sizes}; give every name one size.",
        )

    def __len__(self) -> int:
        """The number of combinations."""
        return math.prod(self.sizes)

    @property
    def strides(self) -> tuple[int, ...]:
        """By how much the index changes when a factor changes by one."""
        return tuple(math.prod(self.sizes[f + 1 :]) for f in range(self.num_factors))

    def values(self, index: Tensor, name: str) -> Tensor:
        f = self.position(name)
        return index.long() // self.strides[f] % self.sizes[f]

    def value_names(self, name: str) -> tuple[str, ...]:
        return tuple(map(str, range(self.sizes[self.position(name)])))


class FactorTable(Factors):
    """Factors of images in any order: combinations may be missing, or have several images.

    Args:
        columns: factor name -> (N,) integers, floats or strings, one per image. The values of each
            factor are numbered in their sorted order.

    Attributes:
        table: (N, F) int64, the numbers.

    Raises:
        UserError: columns of other types, lengths that differ, numbers that are not finite, a
            factor with too many values, or none that varies.
    """

    def __init__(self, columns: Mapping[str, ArrayLike]):
        arrays = {name: require_column("factors", name, column) for name, column in columns.items()}
        lengths = {name: len(array) for name, array in arrays.items()}
        require(
            len(set(lengths.values())) == 1 and min(lengths.values()) > 0,
            f"factors expects columns of one length, one row per image, got "
            f"{', '.join(f'{name}: {num}' for name, num in lengths.items()) or 'none'}; give each "
            "factor a value for each image.",
        )
        numbered = [np.unique(array, return_inverse=True) for array in arrays.values()]
        self.names = tuple(arrays)
        self.sizes = tuple(len(distinct) for distinct, _ in numbered)
        self.table = torch.from_numpy(np.stack([numbers for _, numbers in numbered], 1)).long()
        self._value_names = tuple(tuple(map(str, distinct.tolist())) for distinct, _ in numbered)
        for name, size in zip(self.names, self.sizes, strict=True):
            require_few_values(name, size, len(self))
        require(
            len(self.varying) > 0,
            f"factors expects at least one column that varies, got {', '.join(self.names)} with "
            "one value each; give factors in which the images differ.",
        )

    def __len__(self) -> int:
        return len(self.table)

    def values(self, index: Tensor, name: str) -> Tensor:
        return self.table[index.cpu().long(), self.position(name)].to(index.device)

    def value_names(self, name: str) -> tuple[str, ...]:
        return self._value_names[self.position(name)]

    def arrays(self) -> list[NDArray]:
        """Everything that distinguishes two tables, for a checksum."""
        return [self.table.numpy(), np.array(self.names), *map(np.array, self._value_names)]


def require_few_values(name: str, num_values: int, num_images: int) -> None:
    """Raise a `UserError` for a factor that is as good as continuous."""
    require(
        num_values <= num_images / 2 or num_images < FEW,
        f"factors expects columns of few values, got {name} with {num_values} values in "
        f"{num_images} images; bin it, or give more images.",
    )
