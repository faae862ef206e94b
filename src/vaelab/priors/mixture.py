"""A learned mixture of normals as prior."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from vaelab.errors import require_range
from vaelab.priors.base import Encode, Prior


class Mixture(Prior):
    """p(z) = sum_k w_k N(z; mu_k, diag sigma_k^2), with w, mu and sigma learned.

    It starts with equal weights, sigma = 1 and means drawn from N(0, I). The KL is estimated with
    samples. Dilokthanakul et al. 2016, "Deep unsupervised clustering with Gaussian mixture
    variational autoencoders", https://arxiv.org/abs/1611.02648; "MoG" in Tomczak and Welling 2018,
    "VAE with a VampPrior", sec. 4, https://arxiv.org/abs/1705.07120.

    Args:
        num_components: K, at least 1.

    Raises:
        UserError: num_components is out of its range.

    Shapes: event (L,).
    """

    def __init__(self, latent_dim: int, image_shape: Sequence[int], *, num_components: int = 10):
        super().__init__()
        require_range("num_components", num_components, at_least=1, integer=True, example=10)
        self.logits = nn.Parameter(torch.zeros(num_components))
        self.mu = nn.Parameter(torch.randn(num_components, latent_dim))
        self.log_variance = nn.Parameter(torch.zeros(num_components, latent_dim))

    def forward(self, encode: Encode) -> MixtureSameFamily:
        sigma = (0.5 * self.log_variance).exp()
        normals = Independent(Normal(self.mu, sigma, validate_args=False), 1, validate_args=False)
        weights = Categorical(logits=self.logits, validate_args=False)
        return MixtureSameFamily(weights, normals, validate_args=False)
