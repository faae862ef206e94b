"""A normal prior per class."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from vaelab.priors.base import Encode, Prior


class ConditionalNormal(Prior):
    """p(z|y) = N(z; mu(y), diag sigma^2(y)), with mu and log sigma^2 linear in the vector of y.

    For a single label that is a free mean and variance per class; of several factors the means and
    the log variances add up. It starts as N(0, I). The KL is in closed form for a Gaussian
    posterior. Sohn et al. 2015, "Learning structured output representation using deep conditional
    generative models", sec. 4.1 (number not checked),
    https://papers.nips.cc/paper/2015/hash/8d55a249e6baa5c06772297520da2051-Abstract.html.

    Shapes: vectors of classes (*lead, B, dim) -> batch (*lead, B), event (L,).
    """

    is_conditional = True

    def __init__(self, latent_dim: int, image_shape: Sequence[int]):
        super().__init__()
        self.latent_dim = latent_dim
        self.weight = nn.Parameter(torch.empty(0))

    def condition_on(self, dim: int, in_encoder: bool) -> None:
        super().condition_on(dim, in_encoder)
        self.weight = nn.Parameter(torch.zeros(dim, 2 * self.latent_dim))

    def forward(self, encode: Encode, condition: Tensor | None = None) -> Independent:
        assert condition is not None
        mu, log_variance = (condition @ self.weight).chunk(2, -1)
        sigma = (0.5 * log_variance).exp()
        return Independent(Normal(mu, sigma, validate_args=False), 1, validate_args=False)
