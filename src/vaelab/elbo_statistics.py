"""The ELBO of a data set, and what its latents do: sums over images, batch by batch."""

import math

import torch
from torch import Tensor

from vaelab.distributions import kl_per_latent
from vaelab.elbo import ElboTerms

ACTIVE_VARIANCE = 0.01
ACTIVE_KL = 0.01


class ElboStatistics:
    """Exact averages over every image seen, whatever the batch sizes; sums are kept in float64.

    `compute` gives, in nats per image:
        elbo, reconstruction, kl: averages, elbo = -(reconstruction + kl);
        bits_per_dim: -elbo / (ln 2 * C * H * W);
        active_units: latents with Var_x(E_q[z|x]) > 0.01 (Burda et al. 2016, sec. 4.1; variance
            with divisor N);
        active_units_kl: latents whose KL averages above 0.01 nats (absent without a KL per latent);
        kl_latent/i: KL of latent i.
    Of these, an autoencoder (posterior without a density) has reconstruction and active_units.

    Args:
        latent_dim: L.
        num_pixels: C * H * W.
        device: where the sums live.
        has_kl: whether there is a KL. Said, and not guessed from a NaN, so that the NaN of a
            diverged model is reported.
    """

    def __init__(
        self,
        latent_dim: int,
        num_pixels: int,
        device: torch.device | str = "cpu",
        has_kl: bool = True,
    ):
        self.latent_dim, self.num_pixels, self.has_kl = latent_dim, num_pixels, has_kl
        # num, reconstruction, kl, then three rows of L: mean, mean squared, kl.
        self.sums = torch.zeros(3 + 3 * latent_dim, dtype=torch.float64, device=device)

    def update(self, terms: ElboTerms) -> None:
        """Add one batch."""
        self.sums += term_rows(terms).sum(0)

    def compute(self) -> dict[str, float]:
        """The averages; the sums of several processes may be added before."""
        num, reconstruction, kl = self.sums[:3].tolist()
        mean, square, kl_latent = (self.sums[3:] / num).view(3, self.latent_dim)
        elbo = -(reconstruction + kl) / num
        active = float((square - mean**2 > ACTIVE_VARIANCE).sum())
        if not self.has_kl:
            return {"reconstruction": reconstruction / num, "active_units": active}
        values = {
            "elbo": elbo,
            "reconstruction": reconstruction / num,
            "kl": kl / num,
            "bits_per_dim": -elbo / (math.log(2) * self.num_pixels),
            "active_units": active,
        }
        if not kl_latent.isnan().any():
            values["active_units_kl"] = float((kl_latent > ACTIVE_KL).sum())
            width = len(str(self.latent_dim - 1))
            for i, value in enumerate(kl_latent.tolist()):
                values[f"kl_latent/{i:0{width}d}"] = value
        return values


def term_rows(terms: ElboTerms) -> Tensor:
    """What `ElboStatistics` sums, image by image: (B, 3 + 3L) in float64.

    1, reconstruction, kl (NaN where there is none); then of each latent its mean, that squared, and
    its KL (NaN where there is no KL per latent).
    """
    mean = terms.q_z.mean.double()
    kl = kl_per_latent(terms.q_z, terms.p_z)
    kl = mean.new_full(mean.shape, math.nan) if kl is None else kl.double()
    ones = mean.new_ones(len(mean))
    head = torch.stack([ones, terms.reconstruction.double(), terms.kl.double()], 1)
    return torch.cat([head, mean, mean.square(), kl], 1)


def kl_order(kl_latent: Tensor) -> list[int]:
    """Latents from the largest KL to the smallest."""
    return kl_latent.argsort(descending=True, stable=True).tolist()


def latent_names(num: int) -> list[str]:
    """["z0", "z1", ...]: the names of the latents, counted from 0 as in `kl_latent/0`."""
    return [f"z{i}" for i in range(num)]
