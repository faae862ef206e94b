"""The posterior of inverse autoregressive flow."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Transform, constraints
from torch.nn.functional import logsigmoid

from vaelab.distributions import DiagonalNormal, TransformedNormal, import_zuko, normal_points
from vaelab.errors import require_range
from vaelab.posteriors.base import Posterior


class IAF(Posterior):
    """q(z|x) of z = z_T, where z_0 ~ N(mu(x), diag sigma^2(x)) and, in T steps,

        z_t = sigma_t * z_(t-1) + (1 - sigma_t) * m_t,    sigma_t = sigmoid(s_t)

    with (m_t, s_t) of latent j a network of the latents before it and of h(x); the order of the
    latents is reversed after each step. log q(z_T|x) = log q(z_0|x) - sum_t sum_j log sigma_t,j.
    The encoder outputs mu, log sigma^2 and h. The networks are zuko's.
    Kingma et al. 2016, "Improved variational inference with inverse autoregressive flow",
    eq. 10 to 14 (equation numbers not checked), https://arxiv.org/abs/1606.04934.

    A sample and its density take one pass, the density of any other z one pass per latent (see
    `TransformedNormal`). The KL is estimated with samples.

    Args:
        num_transforms: T, at least 1.
        hidden: widths of the hidden layers of each step's network.
        context_size: length of h, at least 1.
        gate_bias: added to s_t; with 1 to 2 or more each step starts near the identity.

    Raises:
        UserError: num_transforms or context_size is out of its range.

    Shapes: raw (B, 2L + context_size) -> batch (B,), event (L,).
    """

    points: Tensor

    def __init__(
        self,
        latent_dim: int,
        *,
        num_transforms: int = 4,
        hidden: Sequence[int] = (64, 64),
        context_size: int = 32,
        gate_bias: float = 2.0,
    ):
        super().__init__()
        require_range("num_transforms", num_transforms, at_least=1, integer=True, example=4)
        require_range("context_size", context_size, at_least=1, integer=True, example=32)
        self.num_params = 2 * latent_dim + context_size
        self.sizes = [latent_dim, latent_dim, context_size]
        order = torch.arange(latent_dim)
        zuko = import_zuko()
        steps = [
            zuko.flows.MaskedAutoregressiveTransform(
                latent_dim,
                context_size,
                order=order if t % 2 == 0 else order.flip(0),
                univariate=partial(GatedTransform, gate_bias),
                hidden_features=hidden,
            )
            for t in range(num_transforms)
        ]
        self.steps = zuko.lazy.LazyComposedTransform(*steps)
        self.register_buffer("points", normal_points(32, latent_dim), persistent=False)

    def distribution(self, raw: Tensor) -> TransformedNormal:
        mu, log_variance, h = raw.split(self.sizes, -1)
        base = DiagonalNormal(mu, (0.5 * log_variance).exp())
        return TransformedNormal(base, self.steps(h), self.points)


class GatedTransform(Transform):
    """y = sigma u + (1 - sigma) m with sigma = sigmoid(s + gate_bias), elementwise."""

    domain = constraints.real
    codomain = constraints.real
    bijective = True
    sign = +1

    def __init__(self, gate_bias: float, m: Tensor, s: Tensor) -> None:
        super().__init__()
        self.m, self.s = m, s + gate_bias

    def _call(self, x: Tensor) -> Tensor:
        return self.m + self.s.sigmoid() * (x - self.m)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.m + (y - self.m) / self.s.sigmoid()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return logsigmoid(self.s).expand(x.shape)
