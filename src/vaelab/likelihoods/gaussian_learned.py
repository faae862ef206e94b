"""Gaussian pixels with one learned sigma."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.distributions import IsotropicNormal
from vaelab.errors import require_range
from vaelab.likelihoods.base import Likelihood


class GaussianLearned(Likelihood):
    """Normal pixels around the raw output with one sigma, a parameter of the model.

        log p(x|z) = -|x - raw|^2 / (2 sigma^2) - C*H*W log(sigma sqrt(2 pi))
        sigma = exp(log_sigma)

    raw: (*sample, batch, C, H, W), the mean. log_prob: (*sample, batch) in nats, a log density.
    initial_sigma: > 0, in units of x in [0, 1]. Raises UserError for other values.
    Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders",
    https://arxiv.org/abs/2006.13202.
    """

    support = (-math.inf, math.inf)

    def __init__(self, initial_sigma: float = 1.0) -> None:
        super().__init__()
        require_range("initial_sigma", initial_sigma, above=0, unit="in units of x", example=1.0)
        self.log_sigma = nn.Parameter(torch.tensor(math.log(initial_sigma)))

    def distribution(self, raw: Tensor) -> Distribution:
        """Normal images, from means (*sample, batch, 1, C, H, W)."""
        return IsotropicNormal(raw.squeeze(-4), self.log_sigma.exp())
