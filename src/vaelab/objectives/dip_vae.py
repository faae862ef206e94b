"""DIP-VAE I and II: the covariance of the latents is drawn towards the identity."""

from abc import abstractmethod

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributed import all_gather_batch
from vaelab.elbo import elbo_terms
from vaelab.errors import require_range
from vaelab.kl_penalties import Constant, KLPenalty
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_diagonal_normal


class DIPVAE(Objective):
    """The VAE with a penalty on the distance of a covariance C of the latents from the identity.

        loss = E_x [ -E_q(z|x) log p(x|z) + KL(q(z|x) || p(z)) ]
               + lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2

    in nats per image. C (L, L) is taken over the batch of all processes: `DIPVAEI` takes that of
    the means, `DIPVAEII` that of the samples. lambda_d = lambda_d_factor * lambda_od, and at
    lambda_od = 0 it is the VAE.

    Kumar et al. 2018, "Variational inference of disentangled latent concepts from unlabeled
    observations", eq. 6 and 7, https://arxiv.org/abs/1711.00848.

    Terms: `covariance_penalty` is the sum of the last two terms of the loss;
    `covariance_off_diagonal` and `covariance_diagonal` are their sums without weights.

    Args:
        lambda_od: weight of the squared off-diagonal entries, at least 0.
        lambda_d_factor: lambda_d as a multiple of lambda_od, at least 0.
        kl_penalty: weighs the KL, with beta = 1, see `vaelab.kl_penalties`; `Constant` by default.
    """

    lambda_od: Tensor
    lambda_d_factor: Tensor

    def __init__(
        self, lambda_od: float, lambda_d_factor: float, kl_penalty: KLPenalty | None = None
    ):
        super().__init__()
        for name, weight in (("lambda_od", lambda_od), ("lambda_d_factor", lambda_d_factor)):
            require_range(name, weight, at_least=0, example=10)
            self.register_buffer(name, torch.tensor(float(weight)))
        self.kl_penalty = kl_penalty or Constant()

    @abstractmethod
    def covariance(self, q_z: Distribution) -> Tensor:
        """C (L, L) of q(z|x) with batch (B,), the rows of this process."""

    def check_model(self, model: VAE) -> None:
        super().check_model(model)
        require_diagonal_normal(self, model)

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        terms = elbo_terms(model, x)
        means = terms.means()
        penalty, state = self.kl_penalty(terms.kl.new_ones(()), terms, step)
        off_diagonal, diagonal = distance_from_identity(self.covariance(terms.q_z))
        covariance_penalty = self.lambda_od * (off_diagonal + self.lambda_d_factor * diagonal)
        return {
            "loss": means["reconstruction"] + penalty + covariance_penalty,
            **means,
            "covariance_penalty": covariance_penalty,
            "covariance_off_diagonal": off_diagonal,
            "covariance_diagonal": diagonal,
            **state,
        }


class DIPVAEI(DIPVAE):
    """DIP-VAE-I: C = Cov_x[mu(x)], the covariance of the means of q(z|x).

    Loss, arguments and terms: `DIPVAE`. Kumar et al. 2018, eq. 6, https://arxiv.org/abs/1711.00848.
    """

    def covariance(self, q_z: Distribution) -> Tensor:
        return covariance_of_means(q_z)


class DIPVAEII(DIPVAE):
    """DIP-VAE-II: C = Cov_q(z)[z] = Cov_x[mu(x)] + E_x[diag sigma^2(x)], that of the samples.

    By the law of total covariance: the mean over the batch of the variance of each latent is added
    to the diagonal.
    Loss, arguments and terms: `DIPVAE`. Kumar et al. 2018, eq. 7, https://arxiv.org/abs/1711.00848.
    """

    def covariance(self, q_z: Distribution) -> Tensor:
        return covariance_of_means(q_z) + all_gather_batch(q_z.variance).mean(0).diag()


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
