"""Gaussian pixels, each with a sigma from the decoder."""

import math

from torch import Tensor
from torch.distributions import Distribution, Normal

from vaelab.likelihoods.base import Likelihood, independent_pixels, soft_lower_bound

# A sigma of e^10 means a diverged run, and e^50 would be infinite in float32.
MAX_LOG_SIGMA = 10.0


class GaussianPerPixel(Likelihood):
    """Normal pixels whose means and sigmas both come from the decoder.

        log p(x|z) = sum_i log N(x_i; mean_i, sigma_i^2),
        log sigma = m + softplus(raw_sigma - m),    m = min_log_sigma

    Without the bound the density grows without limit on pixels that never vary, such as a black
    border. The default bounds sigma by 0.0025, a bit more than half the distance of two of
    256 levels.

    raw: (*sample, batch, 2*C, H, W), first the means, then the log sigmas. log_prob:
    (*sample, batch) in nats, a log density. min_log_sigma: in units of log x, x in [0, 1].
    Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders",
    https://arxiv.org/abs/2006.13202.
    """

    channels_per_pixel = 2
    support = (-math.inf, math.inf)

    def __init__(self, min_log_sigma: float = -6.0) -> None:
        super().__init__()
        self.min_log_sigma = float(min_log_sigma)

    def distribution(self, raw: Tensor) -> Distribution:
        """Normal images, from means and log sigmas (*sample, batch, 2, C, H, W)."""
        mean, raw_sigma = raw.unbind(-4)
        log_sigma = soft_lower_bound(raw_sigma.clamp(max=MAX_LOG_SIGMA), self.min_log_sigma)
        return independent_pixels(Normal(mean, log_sigma.exp(), validate_args=False))
