"""Gaussian pixels with the sigma that is optimal for the batch."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.types import _size

from vaelab.distributed import mean_over_processes
from vaelab.distributions import IsotropicNormal
from vaelab.errors import require_range
from vaelab.likelihoods.base import Likelihood


class GaussianOptimal(Likelihood):
    """Normal pixels around the raw output with the maximum-likelihood sigma, the sigma-VAE.

        sigma*^2 = argmax_sigma^2 log N(x; raw, sigma^2 I) = mean of (x - raw)^2

    The mean is over pixels, images, samples and processes. In training mode `log_prob(x)` uses the
    sigma* of that x and moves the buffer `variance` towards sigma*^2. But sigma* depends on x, so
    p(x|z) would not be a distribution given z alone; hence evaluation mode (and `sample` always)
    uses the sigma of the buffer, fixed, and its ELBO is a bound.
    sigma* is detached: at an optimum the gradient through it vanishes (envelope theorem), so a loss
    that averages log_prob over images and samples has the same gradient. A tighter bound, such as
    that of IWAE, weights the samples and is not at its optimum in sigma*.

    raw: (*sample, batch, C, H, W), the mean. log_prob: (*sample, batch) in nats, a log density.
    min_sigma: lower bound of sigma, > 0, in units of x in [0, 1]. decay: of the exponential moving
    average, in [0, 1); the first 1 / (1 - decay) updates are averaged equally. Raises UserError for
    other values.
    Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders",
    https://arxiv.org/abs/2006.13202.
    """

    support = (-math.inf, math.inf)
    variance: Tensor
    num_updates: Tensor

    def __init__(self, min_sigma: float = 0.0025, decay: float = 0.99) -> None:
        super().__init__()
        require_range("min_sigma", min_sigma, above=0, unit="in units of x", example=0.0025)
        require_range("decay", decay, at_least=0, below=1, example=0.99)
        self.min_sigma, self.decay = float(min_sigma), float(decay)
        self.register_buffer("variance", torch.tensor(1.0))
        self.register_buffer("num_updates", torch.tensor(0.0))

    def distribution(self, raw: Tensor) -> Distribution:
        """Normal images, from means (*sample, batch, 1, C, H, W)."""
        normal = IsotropicNormal(raw.squeeze(-4), self.variance.sqrt())
        return BatchOptimalNormal(normal, self.fit) if self.training else normal

    @torch.no_grad()
    def fit(self, x: Tensor, mean: Tensor) -> Tensor:
        """The optimal sigma (scalar) for these images, added to the moving average."""
        variance = mean_over_processes((x - mean).square().mean()).clamp(min=self.min_sigma**2)
        self.num_updates.add_(1)
        rate = self.num_updates.reciprocal().clamp(min=1 - self.decay)
        self.variance.add_(rate * (variance - self.variance))
        return variance.sqrt()


class BatchOptimalNormal(Distribution):
    """The normal whose log_prob takes sigma from the images it is evaluated at, by `fit`."""

    arg_constraints = {}  # noqa: RUF012

    def __init__(self, normal: IsotropicNormal, fit: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.normal, self.fit = normal, fit
        super().__init__(normal.batch_shape, normal.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean (*batch, C, H, W)."""
        return self.normal.mean

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        """Draw x (*sample, *batch, C, H, W) with the sigma of the moving average."""
        return self.normal.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log density (*batch) in nats at the optimal sigma of `value`."""
        sigma = self.fit(value, self.normal.mean)
        return IsotropicNormal(self.normal.mean, sigma).log_prob(value)
