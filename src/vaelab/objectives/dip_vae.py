"""What both DIP-VAEs share: the covariance of the latents is pulled to the identity."""

from abc import abstractmethod

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributed import all_gather_batch
from vaelab.elbo import elbo_terms
from vaelab.errors import require
from vaelab.kl_penalties import KLPenalty
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective
from vaelab.objectives.diagonal_posterior import require_diagonal_normal


class DIPVAE(Objective):
    """loss = -E_q(z|x) log p(x|z) + KL(q(z|x) || p(z)) + penalty, in nats per image.

        penalty = lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2

    with C (L, L) a covariance over the batch of all processes and lambda_d = lambda_d_factor *
    lambda_od. At lambda_od = 0 it is the plain VAE. Kumar et al. 2018, eq. 6 and 7.

    Terms: `covariance_off_diagonal` and `covariance_diagonal` are the two sums without weights.

    Args:
        lambda_od: weight of the squared off-diagonal entries, from 0 up.
        lambda_d_factor: lambda_d as a multiple of lambda_od, from 0 up.
        kl_penalty: how the cost of the KL, of weight 1, moves, see `vaelab.kl_penalties`.
    """

    lambda_od: Tensor
    lambda_d_factor: Tensor

    def __init__(self, lambda_od: float, lambda_d_factor: float, kl_penalty: KLPenalty):
        super().__init__()
        for name, weight in (("lambda_od", lambda_od), ("lambda_d_factor", lambda_d_factor)):
            require(
                weight >= 0,
                f"objective.{name} expects a weight of at least 0, got {weight}; try 10.",
            )
            self.register_buffer(name, torch.tensor(float(weight)))
        self.kl_penalty = kl_penalty

    @abstractmethod
    def covariance(self, q_z: Distribution) -> Tensor:
        """C (L, L) of q(z|x) with batch (B,), the rows of this process."""

    def check_model(self, model: VAE) -> None:
        super().check_model(model)
        require_diagonal_normal(model, f"objective {type(self).__name__}")

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        terms = elbo_terms(model, x)
        means = terms.means()
        cost, moved = self.kl_penalty(terms.kl.new_ones(()), terms, step)
        off_diagonal, diagonal = distance_from_identity(self.covariance(terms.q_z))
        penalty = self.lambda_od * (off_diagonal + self.lambda_d_factor * diagonal)
        return {
            "loss": means["reconstruction"] + cost + penalty,
            **means,
            "penalty": penalty,
            "covariance_off_diagonal": off_diagonal,
            "covariance_diagonal": diagonal,
            **moved,
        }


def covariance_of_means(q_z: Distribution) -> Tensor:
    """1/B sum_b (mu_b - mean)(mu_b - mean)^T of the means mu (B, L), over all processes: (L, L)."""
    mu = all_gather_batch(q_z.mean)
    centred = mu - mu.mean(0)
    # Sums of products, in float32 where a matrix product would be in 16 bits.
    with torch.autocast(mu.device.type, enabled=False):
        return centred.T @ centred / len(mu)


def distance_from_identity(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """sum_{i != j} C_ij^2 and sum_i (C_ii - 1)^2 of C (L, L), scalars."""
    diagonal = covariance.diagonal()
    return (covariance - diagonal.diag()).square().sum(), (diagonal - 1).square().sum()
