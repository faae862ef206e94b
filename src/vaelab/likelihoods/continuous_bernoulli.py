"""Continuous Bernoulli pixels, for grey images."""

from torch import Tensor
from torch.distributions import Distribution

from vaelab import distributions
from vaelab.likelihoods.base import Likelihood, independent_pixels


class ContinuousBernoulli(Likelihood):
    """Independent pixels in [0, 1] with a log-linear density, from logits.

        log p(x|z) = sum_i [log C(lambda_i) + x_i log lambda_i + (1 - x_i) log(1 - lambda_i)],
        lambda = sigmoid(raw)

    That is minus the Bernoulli cross-entropy, plus the log of the constant C that makes it a
    density. The mean is not lambda.

    raw: (*sample, batch, C, H, W). log_prob: (*sample, batch) in nats, a log density.
    Loaiza-Ganem and Cunningham 2019, "The continuous Bernoulli: fixing a pervasive error in
    variational autoencoders", sec. 3, https://arxiv.org/abs/1907.06845.
    """

    def distribution(self, raw: Tensor) -> Distribution:
        """Continuous Bernoulli pixels, from logits (*sample, batch, 1, C, H, W)."""
        return independent_pixels(distributions.ContinuousBernoulli(raw.squeeze(-4)))
