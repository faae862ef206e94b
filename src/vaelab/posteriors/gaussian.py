"""The diagonal Gaussian posterior."""

from torch import Tensor

from vaelab.distributions import DiagonalNormal
from vaelab.posteriors.base import Posterior


class Gaussian(Posterior):
    """q(z|x) = N(z; mu(x), diag sigma^2(x)), sampled as mu + sigma * eps.

    The encoder gives mu and log sigma^2. Kingma and Welling 2014, sec. 2.4 and app. C.

    Shapes: raw (B, 2, L) -> batch (B,), event (L,).
    """

    params_per_latent = 2

    def distribution(self, raw: Tensor) -> DiagonalNormal:
        mu, log_variance = raw.unbind(-2)
        return DiagonalNormal(mu, (0.5 * log_variance).exp())
