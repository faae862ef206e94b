"""The classes of a conditional model by their names, and from what a user writes for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab.data.factors import FactorSpace
from vaelab.errors import UserError, require, require_choice


@dataclass(frozen=True)
class Classes:
    """The classes 0 .. C - 1 and what they are called.

    Args:
        space: the combinations of factors that they number; of a label, one factor of that name.
        label_names: what the labels are called; None for their numbers, and for factors.
    """

    space: FactorSpace
    label_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        """C."""
        return len(self.space)

    @property
    def title(self) -> str:
        """What y is: "label", or the factors, such as "shape, scale"."""
        return ", ".join(self.space.names)

    def name(self, y: int) -> str:
        """A class in a sentence: "7", "sneaker", or "shape 2, scale 0"."""
        if self.label_names is not None or self.space.names == ("label",):
            return self.short_name(y)
        values = self.space.unravel(torch.tensor(y)).tolist()
        return ", ".join(f"{name} {v}" for name, v in zip(self.space.names, values, strict=True))

    def short_name(self, y: int) -> str:
        """A class below the `title`: "7", "sneaker", or "2, 0"."""
        if self.label_names is not None:
            return self.label_names[y]
        return ", ".join(map(str, self.space.unravel(torch.tensor(y)).tolist()))

    def numbers(self, y: Any, num: int) -> Tensor:
        """The class numbers of `num` images, (num,) int64, from what a user writes.

        Args:
            y: the number or the name of one class, a mapping of factors to their values such as
                {"shape": 2, "scale": 0}, or an array of class numbers (num,).
            num: of images.

        Raises:
            UserError: there is no such class, or the array is of another length.
        """
        if isinstance(y, str):
            y = self._number_of_name(y)
        elif isinstance(y, Mapping):
            y = self._number_of_values(y)
        classes = torch.as_tensor(np.asarray(y))
        last = len(self) - 1
        if classes.dtype.is_floating_point or classes.dtype == torch.bool:
            raise UserError(
                f"y expects class numbers from 0 to {last}, got {classes.dtype}; give integers."
            )
        require(
            classes.ndim == 0 or tuple(classes.shape) == (num,),
            f"y expects one class or one per image ({num}), got shape {tuple(classes.shape)}; "
            f"give a number, or an array of shape ({num},).",
        )
        wrong = classes[(classes < 0) | (classes > last)]
        require(
            len(wrong) == 0,
            f"y expects class numbers from 0 to {last}, got {wrong[:1].tolist()}; count from 0.",
        )
        return classes.long().expand(num)

    def _number_of_name(self, name: str) -> int:
        if self.label_names is None:
            raise UserError(
                f"y expects a class number from 0 to {len(self) - 1}, as the classes have no "
                f"names, got {name!r}; give a number."
            )
        require_choice("y", name, self.label_names)
        return self.label_names.index(name)

    def _number_of_values(self, values: Mapping[str, int]) -> int:
        names = self.space.names
        for name in values:
            self.space.position(name)
        missing = [name for name in names if name not in values]
        require(
            not missing,
            f"y expects a value of each of {', '.join(names)}, got {dict(values)}; add "
            f"{', '.join(missing)}.",
        )
        for name, value in values.items():
            number = torch.as_tensor(value)
            if number.ndim or number.dtype.is_floating_point or number.dtype == torch.bool:
                raise UserError(
                    f"factor {name!r} expects the number of a value, got {value!r}; try 0."
                )
            self.space.require_values(name, number[None])
        return sum(int(values[n]) * s for n, s in zip(names, self.space.strides, strict=True))
