"""The logistic distribution, discretised to the levels of a quantised image."""

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid
from torch.types import _size


class DiscretizedLogistic(Distribution):
    """The mass of a logistic in the bin around each level x = k / (num_levels - 1).

        P(x) = sigmoid(b) - sigmoid(a),    b, a = (x +- h - mean) / s

    with h = 1 / (2 (num_levels - 1)); b = inf for the last level and a = -inf for the first, so
    that these take the tails. Computed without cancellation as
    sigmoid(b) sigmoid(-a) (1 - exp(a - b)).

    mean, log_scale = log s: (*batch), in units of x in [0, 1]; stable in float32 for log_scale
    above -80. log_prob: nats, the log of a probability.
    Salimans et al. 2017, "PixelCNN++", eq. 2 (equation number not checked),
    https://arxiv.org/abs/1701.05517; first in Kingma et al. 2016, https://arxiv.org/abs/1606.04934.
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.unit_interval

    def __init__(self, mean: Tensor, log_scale: Tensor, num_levels: int = 256) -> None:
        self.location, self.log_scale, self.num_levels = mean, log_scale, num_levels
        super().__init__(torch.broadcast_shapes(mean.shape, log_scale.shape), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The exact expectation over the levels, sum_k P(x > level k) / (num_levels - 1)."""
        # Level by level: all at once would take 255 times the memory of the images.
        last, inverse_scale = self.num_levels - 1, torch.exp(-self.log_scale)
        total = torch.zeros_like(self.location * inverse_scale)
        for k in range(last):
            total = total + torch.sigmoid((self.location - (k + 0.5) / last) * inverse_scale)
        return total / last

    def sample(self, sample_shape: _size = ()) -> Tensor:
        """Draw levels x (*sample, *batch)."""
        with torch.no_grad():
            shape, last = self._extended_shape(sample_shape), self.num_levels - 1
            u = torch.rand(shape, dtype=self.location.dtype, device=self.location.device)
            noise = torch.logit(u, eps=torch.finfo(u.dtype).eps)
            x = self.location + self.log_scale.exp() * noise
            return (x * last).round().clamp(0, last) / last

    def log_prob(self, value: Tensor) -> Tensor:
        """The log probability of the levels `value` (*batch) in nats."""
        half = 0.5 / (self.num_levels - 1)
        inverse_scale = torch.exp(-self.log_scale)
        # The clamp keeps the logarithm finite for scales above 1e30.
        width = (2 * half * inverse_scale).clamp(min=1e-30)
        first, last = value < half, value > 1 - half
        centred = value - self.location
        below_top = logsigmoid((centred + half) * inverse_scale).masked_fill(last, 0.0)
        above_bottom = logsigmoid((half - centred) * inverse_scale).masked_fill(first, 0.0)
        inside = torch.log(-torch.expm1(-width))
        return below_top + above_bottom + torch.where(first | last, 0.0, inside)
