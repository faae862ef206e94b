"""Gaussian pixels with a fixed sigma."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributions import IsotropicNormal
from vaelab.errors import require_range
from vaelab.likelihoods.base import Likelihood


class Gaussian(Likelihood):
    """Normal pixels around the raw output with one fixed sigma.

        log p(x|z) = -|x - raw|^2 / (2 sigma^2) - C*H*W log(sigma sqrt(2 pi))

    With sigma = 1 it is minus half the squared error, up to a constant. A beta-VAE with this sigma
    has the optimum of a VAE whose sigma is sqrt(beta) times as large.

    raw: (*sample, batch, C, H, W), the mean. log_prob: (*sample, batch) in nats, a log density.
    sigma: > 0, in units of x in [0, 1]; a buffer, so that a sweep over it can be stacked. Raises
    UserError for other values.
    Kingma and Welling 2014, "Auto-encoding variational Bayes", app. C.2,
    https://arxiv.org/abs/1312.6114.
    """

    support = (-math.inf, math.inf)
    sigma: Tensor

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        require_range("sigma", sigma, above=0, unit="in units of x", example=1.0)
        self.register_buffer("sigma", torch.tensor(float(sigma)))

    def distribution(self, raw: Tensor) -> Distribution:
        """Normal images, from means (*sample, batch, 1, C, H, W)."""
        return IsotropicNormal(raw.squeeze(-4), self.sigma)
