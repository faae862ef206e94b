"""The standard normal prior."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from vaelab.priors.base import Encode, Prior


class StandardNormal(Prior):
    """p(z) = N(0, I).

    Kingma and Welling 2014, "Auto-encoding variational Bayes", app. B,
    https://arxiv.org/abs/1312.6114.

    Shapes: event (L,).
    """

    mu: Tensor
    sigma: Tensor

    def __init__(self, latent_dim: int, image_shape: Sequence[int]):
        super().__init__()
        self.register_buffer("mu", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("sigma", torch.ones(latent_dim), persistent=False)

    def forward(self, encode: Encode) -> Independent:
        return Independent(Normal(self.mu, self.sigma, validate_args=False), 1, validate_args=False)
