"""A normalizing flow as prior."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from vaelab.distributions import TransformedNormal, import_zuko, normal_points
from vaelab.errors import require
from vaelab.priors.base import Encode, Prior

FLOWS = {"maf": "MAF", "nsf": "NSF", "realnvp": "RealNVP"}


class Flow(Prior):
    """p(z) = N(g(z); 0, I) |det dg/dz|, with g a learned invertible map, here zuko's.

    maf: affine in each latent given those before it, Papamakarios et al. 2017. nsf: a monotonic
    spline on [-5, 5] in place of the affine map, Durkan et al. 2019. realnvp: affine in every other
    latent given the rest, Dinh et al. 2017. In maf and nsf a density is computed at once and a
    sample latent by latent; realnvp does both at once. As prior of a VAE: Chen et al. 2017,
    "Variational lossy autoencoder", sec. 3.2.

    g begins as the identity, so that p(z) begins as the standard normal. The KL is estimated by
    samples.

    Args:
        flow: `maf`, `nsf` or `realnvp`.
        num_transforms: maps one after the other, in each of which the latents change places.
        hidden: widths of the hidden layers of each map's network.

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
        require(
            flow in FLOWS, f"prior.flow expects maf, nsf or realnvp, got {flow!r}; maf is usual."
        )
        require(
            isinstance(num_transforms, int) and num_transforms >= 1,
            f"prior.num_transforms expects at least 1 map, got {num_transforms}; try 4.",
        )
        require(
            flow != "realnvp" or latent_dim > 1,
            f"prior.flow=realnvp expects at least 2 latents to couple, got latent_dim={latent_dim};"
            " use prior.flow=nsf.",
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
    """Zero what the networks give: then every affine map and every spline is the identity."""
    for transform in flow.transforms:  # type: ignore[union-attr]
        network = getattr(transform, "hyper", None)
        last = list(network[-1].parameters()) if network is not None else transform.phi
        for parameter in last:
            nn.init.zeros_(parameter)
