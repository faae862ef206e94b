"""The diagonal normal over a latent vector."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal
from torch.types import _size

from vaelab.distributed import standard_normal_noise


class DiagonalNormal(Independent):
    """The normal with independent latents, reparameterised.

        p(z) = prod_j N(z_j; mu_j, sigma_j^2),    z = mu + sigma * epsilon,  epsilon ~ N(0, I)

    An `Independent` over `Normal`, so that the closed-form divergences of torch apply, except that
    its noise is that of `split_over_processes`.

    mu, sigma: (*batch, latent), sigma > 0. Samples: (*sample, *batch, latent). log_prob, entropy:
    (*sample, *batch) in nats.
    Kingma and Welling 2014, "Auto-encoding variational Bayes", sec. 2.4,
    https://arxiv.org/abs/1312.6114.
    """

    def __init__(self, mu: Tensor, sigma: Tensor) -> None:
        super().__init__(Normal(mu, sigma, validate_args=False), 1, validate_args=False)

    @property
    def stddev(self) -> Tensor:
        """The standard deviations sigma (*batch, latent)."""
        return self.base_dist.scale  # not the root of the square, as torch has it

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        """Draw z (*sample, *batch, latent), differentiable in mu and sigma."""
        mu, sigma = self.base_dist.loc, self.base_dist.scale
        noise = standard_normal_noise(self._extended_shape(sample_shape), batch_dim=-2, like=mu)
        return mu + sigma * noise

    def sample(self, sample_shape: _size = ()) -> Tensor:
        """Draw z (*sample, *batch, latent) without gradient, the same z as `rsample` draws."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def expand(self, batch_shape: _size, _instance: Any = None) -> "DiagonalNormal":
        """The same distribution with its batch shape broadcast to `batch_shape`."""
        shape = torch.Size(batch_shape) + self.event_shape
        return DiagonalNormal(self.base_dist.loc.expand(shape), self.base_dist.scale.expand(shape))


def is_diagonal_normal(distribution: Distribution) -> bool:
    """Whether it is a normal over a vector of independent latents, of this class or of torch's."""
    return (
        isinstance(distribution, Independent)
        and isinstance(distribution.base_dist, Normal)
        and distribution.reinterpreted_batch_ndims == 1
    )
