"""Averages of the ELBO over a data set, and which latents are active."""

import math

import torch
from torch import Tensor

from vaelab.distributions import kl_per_latent
from vaelab.elbo import ElboTerms

ACTIVE_VARIANCE = 0.01
ACTIVE_KL = 0.01


class ElboStatistics:
    """Exact averages over all images, whatever the batch sizes; sums are kept in float64.

    `compute` returns, in nats per image:
        elbo, reconstruction, kl: averages, elbo = -(reconstruction + kl);
        bits_per_dim: see `bits_per_dim`;
        active_units: number of latents with Var_x(E_q[z|x]) > 0.01, the variance with divisor N.
            Burda et al. 2016, "Importance weighted autoencoders", https://arxiv.org/abs/1509.00519;
        active_units_kl: number of latents with an average KL above 0.01 nats;
        kl_latent/0, kl_latent/1, ...: average KL of each latent, zero-padded so that names sort.
    The last two are absent without a KL per latent; an autoencoder (a posterior without a density)
    has only reconstruction and active_units.

    Args:
        latent_dim: L.
        num_pixels: C * H * W.
        device: of the sums.
        has_kl: whether there is a KL. Stated, and not inferred from a NaN, so that the NaN of a
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
        # num, reconstruction, kl, then L numbers each: mean, mean squared, kl.
        self.sums = torch.zeros(3 + 3 * latent_dim, dtype=torch.float64, device=device)

    def update(self, terms: ElboTerms) -> None:
        """Add one batch."""
        self.sums += term_rows(terms).sum(0)

    def compute(self) -> dict[str, float]:
        """The averages by name; the sums of several processes may be added first."""
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
            "bits_per_dim": bits_per_dim(elbo, self.num_pixels),
            "active_units": active,
        }
        if not kl_latent.isnan().any():
            values["active_units_kl"] = float((kl_latent > ACTIVE_KL).sum())
            width = len(str(self.latent_dim - 1))
            for i, value in enumerate(kl_latent.tolist()):
                values[f"kl_latent/{i:0{width}d}"] = value
        return values


def term_rows(terms: ElboTerms) -> Tensor:
    """The terms that `ElboStatistics` sums, one row per image: (B, 3 + 3L) in float64.

    1, reconstruction, kl (NaN where there is none); then for all latents the mean, its square, and
    the KL (NaN where there is no KL per latent).
    """
    mean = terms.q_z.mean.double()
    kl = kl_per_latent(terms.q_z, terms.p_z)
    kl = mean.new_full(mean.shape, math.nan) if kl is None else kl.double()
    ones = mean.new_ones(len(mean))
    head = torch.stack([ones, terms.reconstruction.double(), terms.kl.double()], 1)
    return torch.cat([head, mean, mean.square(), kl], 1)


def bits_per_dim(elbo: float, num_pixels: int) -> float:
    """Bits per pixel and channel, -elbo / (ln 2 * C * H * W), of an ELBO or log p(x) in nats.

    For a discrete likelihood an upper bound on the code length. For a density (Gaussian,
    ContinuousBernoulli) minus the log2 density of images scaled to [0, 1], which may be negative.
    To compare it with 256 levels, add 8 bits (log2 256); that is a bound only if the model was
    trained and evaluated with uniform dequantisation noise, which is not added here.
    """
    return -elbo / (math.log(2) * num_pixels)


def latent_names(num: int) -> list[str]:
    """z0, z1, ...: the names of the latents."""
    return [f"z{i}" for i in range(num)]


def kl_order(kl_latent: Tensor) -> list[int]:
    """The latents (L,) from the largest KL to the smallest."""
    return kl_latent.argsort(descending=True, stable=True).tolist()
