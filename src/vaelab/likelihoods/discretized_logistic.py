"""Discretised logistic pixels, for images of 256 levels."""

from torch import Tensor
from torch.distributions import Distribution

from vaelab import distributions
from vaelab.errors import require_range
from vaelab.likelihoods.base import Likelihood, independent_pixels, soft_lower_bound


class DiscretizedLogistic(Likelihood):
    """Independent pixels with the mass that a logistic has in the bin of each level.

        P(x_i) = sigmoid((x_i + h - mean_i) / s_i) - sigmoid((x_i - h - mean_i) / s_i)
        log s = m + softplus(raw_scale - m),    m = min_log_scale,    h = 1 / (2 (num_levels - 1))

    The first and the last level take the tails. One component, without PixelCNN++'s mixture and
    dependence of channels. The default bound is PixelCNN++'s, -7 for x in [-1, 1].

    raw: (*sample, batch, 2*C, H, W), means, then log scales. log_prob:
    (*sample, batch) in nats, the log of a probability. Raises UserError for num_levels < 2.
    Salimans et al. 2017, "PixelCNN++", eq. 2 (equation number not checked),
    https://arxiv.org/abs/1701.05517.
    """

    channels_per_pixel = 2
    num_levels: int

    def __init__(self, num_levels: int = 256, min_log_scale: float = -7.7) -> None:
        super().__init__()
        require_range("num_levels", num_levels, at_least=2, integer=True, example=256)
        self.num_levels, self.min_log_scale = num_levels, float(min_log_scale)

    def distribution(self, raw: Tensor) -> Distribution:
        """Discretised logistic images, from means and log scales (*sample, batch, 2, C, H, W)."""
        mean, raw_scale = raw.unbind(-4)
        log_scale = soft_lower_bound(raw_scale, self.min_log_scale)
        pixels = distributions.DiscretizedLogistic(mean, log_scale, self.num_levels)
        return independent_pixels(pixels)
