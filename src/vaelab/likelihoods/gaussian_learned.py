"""Gaussian pixels with one learned sigma."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.distributions import IsotropicNormal
from vaelab.errors import require_range
from vaelab.likelihoods.base import Likelihood

LEAST_INITIAL_SIGMA = 1 / 255  # of images that are all alike; the distance of two of 256 levels


class GaussianLearned(Likelihood):
    """Normal pixels around the raw output with one sigma, a parameter of the model.

        log p(x|z) = -|x - raw|^2 / (2 sigma^2) - C*H*W log(sigma sqrt(2 pi))
        sigma = exp(log_sigma)

    log_sigma is one number that has to move by about 1, and an optimiser like Adam moves it by one
    learning rate per step. At the rate of the networks a short run would end with a sigma far too
    large, and so with a collapsed posterior: the KL weighs as under a high beta. Hence log_sigma
    starts from the data and has a rate of its own, which the learning-rate schedule scales alike.

    raw: (*sample, batch, C, H, W), the mean. log_prob: (*sample, batch) in nats, a log density.
    initial_sigma: > 0, in units of x in [0, 1]; None for the root mean squared deviation of the
    training images from their mean image, see `initialize` (1 until it is called). lr: the learning
    rate of log_sigma, > 0. Raises UserError for other values.
    Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders",
    https://arxiv.org/abs/2006.13202.
    """

    support = (-math.inf, math.inf)

    def __init__(self, initial_sigma: float | None = None, lr: float = 0.01) -> None:
        super().__init__()
        if initial_sigma is not None:
            unit = "in units of x"
            require_range("initial_sigma", initial_sigma, above=0, unit=unit, example=0.2)
        require_range("lr", lr, above=0, example=0.01)
        self.initial_sigma, self.lr = initial_sigma, lr
        self.log_sigma = nn.Parameter(torch.tensor(math.log(initial_sigma or 1.0)))

    @torch.no_grad()
    def initialize(self, images: Tensor) -> None:
        if self.initial_sigma is None:
            deviation = (images - images.mean(0)).square().mean().sqrt()
            self.log_sigma.copy_(deviation.clamp(min=LEAST_INITIAL_SIGMA).log())

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": [self.log_sigma], "lr": self.lr}]

    def state(self) -> dict[str, Tensor]:
        return {"sigma": self.log_sigma.detach().exp()}

    def distribution(self, raw: Tensor) -> Distribution:
        """Normal images, from means (*sample, batch, 1, C, H, W)."""
        return IsotropicNormal(raw.squeeze(-4), self.log_sigma.exp())
