"""The normal over an image with one sigma for all pixels."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size

PIXELS = (-3, -2, -1)  # channel, height, width


class IsotropicNormal(Distribution):
    """The normal over images whose D = C*H*W pixels share one sigma.

        log p(x) = -|x - mu|^2 / (2 sigma^2) - D (log sigma + log(2 pi) / 2)

    torch's Normal would expand sigma to the shape of the image and take five times as long.

    mean: (*batch, C, H, W). sigma: a scalar tensor, sigma > 0. log_prob: (*batch) in nats.
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.independent(constraints.real, 3)
    has_rsample = True

    def __init__(self, mean: Tensor, sigma: Tensor) -> None:
        self._mean, self.sigma = mean, sigma
        super().__init__(mean.shape[:-3], mean.shape[-3:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean (*batch, C, H, W)."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        """The variance (*batch, C, H, W), everywhere sigma^2."""
        return self.sigma.square().expand_as(self._mean)

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        """Draw x (*sample, *batch, C, H, W), differentiable in the mean and sigma."""
        shape = self._extended_shape(sample_shape)
        noise = torch.randn(shape, dtype=self._mean.dtype, device=self._mean.device)
        return self._mean + self.sigma * noise

    def log_prob(self, value: Tensor) -> Tensor:
        """The log density of images (*batch, C, H, W): (*batch) in nats."""
        squared_error = (value - self._mean).square().sum(PIXELS)
        log_norm = self.event_shape.numel() * (self.sigma.log() + 0.5 * math.log(2 * math.pi))
        return -0.5 * squared_error / self.sigma.square() - log_norm
