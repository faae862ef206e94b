"""A normalizing flow as prior."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from vaelab.distributions import TransformedNormal, import_zuko, normal_points
from vaelab.errors import require, require_choice, require_range
from vaelab.priors.base import Encode, Prior

FLOWS = {"maf": "MAF", "nsf": "NSF", "realnvp": "RealNVP"}


class Flow(Prior):
    """p(z) = N(g(z); 0, I) |det dg/dz|, with g a learned invertible map, here zuko's.

    maf: affine in each latent given those before it. nsf: a monotonic spline on [-5, 5] in place of
    the affine map. realnvp: affine in every other latent given the rest. In maf and nsf a density
    takes one pass and a sample one pass per latent; in realnvp both take one. g starts as the
    identity, so p(z) starts as the standard normal. The KL is estimated with samples.

    maf: Papamakarios et al. 2017, "Masked autoregressive flow for density estimation",
    https://arxiv.org/abs/1705.07057. nsf: Durkan et al. 2019, "Neural spline flows",
    https://arxiv.org/abs/1906.04032. realnvp: Dinh et al. 2017, "Density estimation using Real
    NVP", https://arxiv.org/abs/1605.08803. As prior of a VAE: Chen et al. 2017, "Variational lossy
    autoencoder", sec. 3.2, https://arxiv.org/abs/1611.02731.

    Args:
        flow: `maf`, `nsf` or `realnvp`, the last for 2 latents or more.
        num_transforms: number of maps, at least 1; the latents are permuted from one to the next.
        hidden: widths of the hidden layers of each map's network.

    Raises:
        UserError: an unknown flow, one that needs more latents, or num_transforms out of its range.

    Shapes: event (L,).
    """

    mu: Tensor
    sigma: Tensor
    points: Tensor

    def __init__(
        self,
        latent_dim: int,
        image_shape: Sequence[int],
        *,
        flow: str = "maf",
        num_transforms: int = 4,
        hidden: Sequence[int] = (64, 64),
    ):
        super().__init__()
        require_choice("flow", flow, FLOWS)
        require_range("num_transforms", num_transforms, at_least=1, integer=True, example=4)
        require(
            flow != "realnvp" or latent_dim > 1,
            f"flow expects maf or nsf for latent_dim={latent_dim}, got 'realnvp', which couples at "
            "least 2 latents; try nsf.",
        )
        build = getattr(import_zuko().flows, FLOWS[flow])
        self.inverse = build(
            latent_dim, transforms=num_transforms, hidden_features=hidden
        ).transform
        _make_identity(self.inverse)
        self.register_buffer("mu", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("sigma", torch.ones(latent_dim), persistent=False)
        self.register_buffer("points", normal_points(2048, latent_dim), persistent=False)

    def forward(self, encode: Encode) -> TransformedNormal:
        noise = Independent(
            Normal(self.mu, self.sigma, validate_args=False), 1, validate_args=False
        )
        return TransformedNormal(noise, self.inverse().inv, self.points)


def _make_identity(flow: nn.Module) -> None:
    """Make the networks output zero: then every affine map and every spline is the identity."""
    for transform in flow.transforms:  # type: ignore[union-attr]
        network = getattr(transform, "hyper", None)
        last = list(network[-1].parameters()) if network is not None else transform.phi
        for parameter in last:
            nn.init.zeros_(parameter)
