"""Bernoulli pixels, for binary images."""

from torch import Tensor, distributions
from torch.distributions import Distribution
from torch.nn.functional import softplus

from vaelab.likelihoods.base import Likelihood, at_least_float32, independent_pixels


class Bernoulli(Likelihood):
    """Independent binary pixels from logits.

        log p(x|z) = sum_i x_i log sigmoid(raw_i) + (1 - x_i) log sigmoid(-raw_i)

    Accepts grey x in [0, 1] too, as most papers do; the sum is then minus a cross-entropy and not a
    log likelihood, since it is not normalised (`ContinuousBernoulli` is).

    raw: (*sample, batch, C, H, W). log_prob: (*sample, batch) in nats.
    Kingma and Welling 2014, "Auto-encoding variational Bayes", app. C.1,
    https://arxiv.org/abs/1312.6114.
    """

    def pairwise_log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        logits, pixels = at_least_float32(raw).flatten(1), at_least_float32(x).flatten(1)
        return logits @ pixels.T - softplus(logits).sum(1, keepdim=True)

    def distribution(self, raw: Tensor) -> Distribution:
        """Bernoulli pixels, from logits (*sample, batch, 1, C, H, W)."""
        logits = raw.squeeze(-4)  # not unbind, whose backward pass copies
        return independent_pixels(distributions.Bernoulli(logits=logits, validate_args=False))
