"""The sparse autoencoder."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from vaelab.distributed import all_gather_batch
from vaelab.errors import require
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_fixed_prior

PENALTIES = ("kl", "l1")


class SparseAutoencoder(Objective):
    """loss = E_x [ -E_q(z|x) log p(x|z) ] + weight * penalty, in nats per image.

    `kl`: sum_j KL(Bernoulli(rho) || Bernoulli(rho_j)), rho_j = mean over the batch of all processes
    of sigmoid(z_j). Each latent should be active for a part rho of the images. Ng 2011, "Sparse
    autoencoder", CS294A lecture notes, sec. 3; Lee et al. 2008, "Sparse deep belief net model for
    visual area V2".
    `l1`: E_x sum_j |z_j|, most latents near zero. Only its ratio to the scale of the decoder's
    first layer counts, which nothing holds.

    The activation of latent j is sigmoid(z_j) in the one and z_j in the other; the decoder sees z
    in both, so an inactive latent of `kl` has z far below zero.

    Args:
        penalty: one of `PENALTIES`.
        weight: of the penalty, from 0 up.
        rho: the mean activation to aim at, in (0, 1); for `kl` alone.

    Terms: sparsity_kl or sparsity_l1, weight * penalty.
    """

    weight: Tensor
    rho: Tensor

    def __init__(self, penalty: str = "kl", weight: float = 1.0, rho: float = 0.05):
        super().__init__()
        require(
            penalty in PENALTIES,
            f"objective.penalty expects one of {', '.join(PENALTIES)}, got {penalty!r}; try kl.",
        )
        require(
            weight >= 0, f"objective.weight expects a weight of at least 0, got {weight}; try 1."
        )
        require(
            0 < rho < 1, f"objective.rho expects a mean activation in (0, 1), got {rho}; try 0.05."
        )
        self.penalty = penalty
        self.register_buffer("weight", torch.tensor(float(weight)))
        self.register_buffer("rho", torch.tensor(float(rho)))

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        z = model.encode(x).rsample()
        reconstruction = -model.decode(z).log_prob(x).mean()
        if self.penalty == "kl":
            cost = self.weight * activation_kl(all_gather_batch(z), self.rho)
        else:
            cost = self.weight * z.abs().sum(-1).mean()
        return {
            "loss": reconstruction + cost,
            "reconstruction": reconstruction,
            f"sparsity_{self.penalty}": cost,
        }

    def check_model(self, model: VAE) -> None:
        """Any posterior will do, since there is no KL; a prior that learns would not."""
        require_fixed_prior(model, "objective SparseAutoencoder")


def activation_kl(z: Tensor, rho: Tensor) -> Tensor:
    """sum_j KL(Bernoulli(rho) || Bernoulli(mean_b sigmoid(z_bj))) in nats: (B, L) -> ().

    From the logarithms of the means, which are finite where sigmoid(z) rounds to 0 or 1.
    """
    log_num = math.log(len(z))
    log_active = logsigmoid(z).logsumexp(0) - log_num
    log_idle = logsigmoid(-z).logsumexp(0) - log_num
    active = rho * (rho.log() - log_active)
    return (active + (1 - rho) * (torch.log1p(-rho) - log_idle)).sum()
