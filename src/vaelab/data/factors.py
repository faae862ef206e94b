"""The grid of ground-truth factors: which image shows which combination."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.errors import UserError, nearest, require


@dataclass(frozen=True)
class FactorSpace:
    """All combinations of F discrete factors, numbered with the last factor fastest.

        index = sum_f factors[f] * prod_{g > f} sizes[g]

    Args:
        names: F distinct factor names.
        sizes: F numbers of values, each at least 1; factor f takes 0 .. sizes[f] - 1.

    Raises:
        UserError: names and sizes that do not fit each other.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        require(
            len(self.names) == len(self.sizes) == len(set(self.names))
            and min(self.sizes, default=0) >= 1,
            f"Expected distinct factor names, each with a size of at least 1, but got names "
            f"{self.names} and sizes {self.sizes}. Give one positive size for every name.",
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
        """How far the index moves when a factor moves by one."""
        return tuple(math.prod(self.sizes[f + 1 :]) for f in range(self.num_factors))

    def position(self, name: str) -> int:
        """The place f of a factor; `UserError` where there is none of that name."""
        if name not in self.names:
            same = [known for known in self.names if known.lower() == name.lower()]
            hint = ", ".join(same) or nearest(name, self.names) or ", ".join(self.names)
            raise UserError(
                f"Expected one of the factors {', '.join(self.names)} but got '{name}'. "
                f"Write {hint}."
            )
        return self.names.index(name)

    def ravel(self, factors: Tensor) -> Tensor:
        """Factor values to image numbers: int (..., F) -> int64 (...)."""
        factors = factors.long()
        require(
            factors.shape[-1:] == (self.num_factors,),
            f"Expected factors of shape (..., {self.num_factors}) but got {tuple(factors.shape)}. "
            f"Put {', '.join(self.names)} on the last axis.",
        )
        for f, name in enumerate(self.names):
            self.require_range(name, factors[..., f])
        return (factors * factors.new_tensor(self.strides)).sum(-1)

    def unravel(self, index: Tensor) -> Tensor:
        """Image numbers to factor values, the inverse of `ravel`: int (...) -> int64 (..., F)."""
        return torch.stack([self.values(index, name) for name in self.names], -1)

    def values(self, index: Tensor, name: str) -> Tensor:
        """One factor's values of images by number: int (...) -> int64 (...)."""
        f = self.position(name)
        return index.long() // self.strides[f] % self.sizes[f]

    def sample(
        self,
        num: int,
        generator: torch.Generator | None = None,
        fixed: Mapping[str, int | Tensor] | None = None,
    ) -> Tensor:
        """Independent uniform draws: int64 (num, F), on the generator's device.

        Args:
            num: how many.
            generator: where the random numbers come from; torch's default where None. It advances
                by the same amount whatever is fixed.
            fixed: factors not drawn: name -> one value for all rows, or (num,) values.
        """
        device = generator.device if generator is not None else None
        columns = [
            torch.randint(size, (num,), generator=generator, device=device) for size in self.sizes
        ]
        factors = torch.stack(columns, -1)
        for name, value in (fixed or {}).items():
            f = self.position(name)
            values = torch.as_tensor(value, device=factors.device)
            self.require_range(name, values)
            require(
                values.shape in ((), (num,)),
                f"Expected one value or ({num},) values for the fixed factor '{name}' but got "
                f"shape {tuple(values.shape)}. Give one value a row.",
            )
            factors[:, f] = values
        return factors

    def require_range(self, name: str, values: Tensor) -> None:
        size = self.sizes[self.position(name)]
        wrong = values[(values < 0) | (values >= size)]
        if len(wrong):
            raise UserError(
                f"Expected values of the factor '{name}' in 0 to {size - 1} but got "
                f"{wrong[0].item()}. Count from 0."
            )
