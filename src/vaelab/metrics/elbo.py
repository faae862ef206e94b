"""The ELBO of a data set, and what its latents do: sums over images, batch by batch."""

import math

import torch
from torch import Tensor

from vaelab.distributions import kl_per_latent
from vaelab.objectives.elbo import ElboTerms

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

    Args:
        latent_dim: L.
        num_pixels: C * H * W.
        device: where the sums live.
    """

    def __init__(self, latent_dim: int, num_pixels: int, device: torch.device | str = "cpu"):
        self.latent_dim, self.num_pixels = latent_dim, num_pixels
        # num, reconstruction, kl, then three rows of L: mean, mean squared, kl.
        self.sums = torch.zeros(3 + 3 * latent_dim, dtype=torch.float64, device=device)
        self.has_kl_per_latent = True

    def update(self, terms: ElboTerms) -> None:
        """Add one batch."""
        mean = terms.q_z.mean.double()
        kl = kl_per_latent(terms.q_z, terms.p_z)
        self.has_kl_per_latent = kl is not None
        kl_sums = mean.new_zeros(self.latent_dim) if kl is None else kl.double().sum(0)
        head = (mean.new_tensor(len(mean)), terms.reconstruction.sum(), terms.kl.sum())
        self.sums += torch.cat(
            [torch.stack([h.double() for h in head]), mean.sum(0), (mean**2).sum(0), kl_sums]
        )

    def compute(self) -> dict[str, float]:
        """The averages; the sums of several processes may be added before."""
        num, reconstruction, kl = self.sums[:3].tolist()
        mean, square, kl_latent = (self.sums[3:] / num).view(3, self.latent_dim)
        elbo = -(reconstruction + kl) / num
        values = {
            "elbo": elbo,
            "reconstruction": reconstruction / num,
            "kl": kl / num,
            "bits_per_dim": -elbo / (math.log(2) * self.num_pixels),
            "active_units": float((square - mean**2 > ACTIVE_VARIANCE).sum()),
        }
        if self.has_kl_per_latent:
            values["active_units_kl"] = float((kl_latent > ACTIVE_KL).sum())
            width = len(str(self.latent_dim - 1))
            for i, value in enumerate(kl_latent.tolist()):
                values[f"kl_latent/{i:0{width}d}"] = value
        return values


def kl_order(kl_latent: Tensor) -> list[int]:
    """Latents from the largest KL to the smallest."""
    return kl_latent.argsort(descending=True, stable=True).tolist()
