"""The VampPrior: a mixture of the posteriors of learned images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from vaelab.distributions import is_diagonal_normal
from vaelab.errors import UserError, require_range
from vaelab.priors.base import Encode, Prior

INITIAL_MEAN, INITIAL_STD = 0.05, 0.01  # of the pseudo-inputs, as in the authors' code


class Vamp(Prior):
    """p(z) = 1/K sum_k q(z|u_k), the pseudo-inputs u_k learned images in (0, 1).

    The KL is estimated with samples. The posterior must be normal: Gaussian or FullCovariance.
    Tomczak and Welling 2018, "VAE with a VampPrior", eq. 9 (equation number not checked),
    https://arxiv.org/abs/1705.07120.

    The initial pixels of u_k are drawn from N(0.05, 0.01^2), as in the authors' code. There they
    are clipped to [0, 1], where one that reaches 0 loses its gradient; here they are sigmoids.

    Args:
        num_components: K, at least 1; each step encodes K more images.

    Raises:
        UserError: num_components is out of its range; at `check_posterior`: not a normal.

    Shapes: event (L,).
    """

    is_of_posteriors = True

    def __init__(self, latent_dim: int, image_shape: Sequence[int], *, num_components: int = 500):
        super().__init__()
        require_range("num_components", num_components, at_least=1, integer=True, example=500)
        pixels = INITIAL_MEAN + INITIAL_STD * torch.randn(num_components, *image_shape)
        self.pixel_logits = nn.Parameter(torch.logit(pixels, eps=1e-3))

    @property
    def pseudo_inputs(self) -> Tensor:
        """The images u (K, C, H, W)."""
        return self.pixel_logits.sigmoid()

    def forward(self, encode: Encode) -> MixtureSameFamily:
        posteriors = _as_components(encode(self.pseudo_inputs))
        weights = Categorical(logits=self.pixel_logits.new_zeros(len(self.pixel_logits)))
        return MixtureSameFamily(weights, posteriors, validate_args=False)

    def check_posterior(self, q_z: Distribution) -> None:
        _as_components(q_z)


def _as_components(q_z: Distribution) -> Distribution:
    """The posteriors as torch's normals: vaelab's would draw the noise of a batch of images."""
    if isinstance(q_z, MultivariateNormal):
        return MultivariateNormal(q_z.loc, scale_tril=q_z.scale_tril, validate_args=False)
    if is_diagonal_normal(q_z):
        mu, sigma = q_z.mean, q_z.stddev
        return Independent(Normal(mu, sigma, validate_args=False), 1, validate_args=False)
    raise UserError(
        f"Vamp expects a normal posterior, got {type(q_z).__name__}; use the posterior Gaussian or "
        "FullCovariance, or the prior Mixture."
    )
