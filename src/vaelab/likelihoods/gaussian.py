"""Gaussian pixels with a fixed sigma."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributions import IsotropicNormal
from vaelab.errors import require
from vaelab.likelihoods.base import Likelihood


class Gaussian(Likelihood):
    """Normal pixels around the raw output with one fixed sigma.

        log p(x|z) = -|x - raw|^2 / (2 sigma^2) - C*H*W log(sigma sqrt(2 pi))

    With sigma = 1 half the squared error and a constant. A beta-VAE with beta and this sigma has
    the optimum of a VAE whose sigma is sqrt(beta) times as large.

    raw: (*sample, batch, C, H, W), the mean. log_prob: (*sample, batch) in nats, a log density.
    sigma: > 0, in units of x in [0, 1]; a buffer, so that a sweep over it can be stacked. Raises
    UserError for other values.
    """

    support = (-math.inf, math.inf)
    sigma: Tensor

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        require(sigma > 0, f"Gaussian expects sigma > 0 but got {sigma}; set `likelihood.sigma`.")
        self.register_buffer("sigma", torch.tensor(float(sigma)))

    def distribution(self, raw: Tensor) -> Distribution:
        """Normal images, from means (*sample, batch, 1, C, H, W)."""
        return IsotropicNormal(raw.squeeze(-4), self.sigma)
