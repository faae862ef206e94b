"""The grid of ground-truth factors: which image shows which combination."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.errors import UserError, nearest, require


@dataclass(frozen=True)
class FactorSpace:
    """All combinations of F discrete factors, numbered with the last factor changing fastest.

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
    def num_factors(self) -> int:
        """F."""
        return len(self.names)

    @property
    def strides(self) -> tuple[int, ...]:
        """By how much the index changes when a factor changes by one."""
        return tuple(math.prod(self.sizes[f + 1 :]) for f in range(self.num_factors))

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
        """Image numbers to factor values, as `numpy.unravel_index`: int (...) -> int64 (..., F)."""
        return torch.stack([self.values(index, name) for name in self.names], -1)

    def values(self, index: Tensor, name: str) -> Tensor:
        """Values of one factor by image number: int (...) -> int64 (...)."""
        f = self.position(name)
        return index.long() // self.strides[f] % self.sizes[f]

    def require_values(self, name: str, values: Tensor) -> None:
        """Raise a `UserError` for a value that the factor does not take."""
        size = self.sizes[self.position(name)]
        wrong = values[(values < 0) | (values >= size)]
        if len(wrong):
            raise UserError(
                f"factor {name!r} expects values from 0 to {size - 1}, got {wrong[0].item()}; "
                "count from 0."
            )
