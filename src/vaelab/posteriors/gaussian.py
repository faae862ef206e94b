"""The diagonal Gaussian posterior."""

from torch import Tensor

from vaelab.distributions import DiagonalNormal
from vaelab.posteriors.base import Posterior


class Gaussian(Posterior):
    """q(z|x) = N(z; mu(x), diag sigma^2(x)), sampled as mu + sigma * eps.

    The encoder outputs mu and log sigma^2. Kingma and Welling 2014, "Auto-encoding variational
    Bayes", sec. 2.4 and app. C, https://arxiv.org/abs/1312.6114.

    Shapes: raw (B, 2L) -> batch (B,), event (L,).
    """

    num_heads = 2

    def __init__(self, latent_dim: int):
        super().__init__()
        self.num_params = 2 * latent_dim

    def distribution(self, raw: Tensor) -> DiagonalNormal:
        mu, log_variance = raw.chunk(2, -1)
        return DiagonalNormal(mu, (0.5 * log_variance).exp())
