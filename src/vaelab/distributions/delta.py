"""A point in place of a distribution."""

from typing import NoReturn

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size


class Delta(Distribution):
    """All mass at one point: z = mean with certainty.

    It has no density, so `log_prob` raises, and its divergence from any density is infinite (see
    `kl_divergence`). Samples are the point itself, with its gradient.

    mean: (*batch, latent). Samples: (*sample, *batch, latent).
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, mean: Tensor) -> None:
        self._mean = mean
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The point (*batch, latent)."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        """Zeros (*batch, latent)."""
        return torch.zeros_like(self._mean)

    @property
    def stddev(self) -> Tensor:
        """Zeros (*batch, latent)."""
        return torch.zeros_like(self._mean)

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        """The point, repeated to (*sample, *batch, latent)."""
        return self._mean.expand(self._extended_shape(sample_shape))

    def sample(self, sample_shape: _size = ()) -> Tensor:
        """The same without gradient."""
        # Detached, because a view of a leaf wants a gradient even where none are recorded.
        return self._mean.detach().expand(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> NoReturn:
        """Raise: a point has no density.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("a Delta has no density; use a distribution that has one.")
