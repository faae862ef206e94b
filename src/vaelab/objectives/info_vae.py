"""InfoVAE: a smaller weight on the KL, and an MMD between the aggregate posterior and the prior."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vaelab.elbo import elbo_terms
from vaelab.errors import require, require_range
from vaelab.kl_penalties import Constant, KLPenalty
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective
from vaelab.objectives.mmd import (
    SCALES,
    Kernel,
    require_samples_with_gradient,
    squared_mmd_to_prior,
)


class InfoVAE(Objective):
    """The VAE with part of its KL replaced by an MMD between q(z) and p(z).

        loss = E_x [ -E_q(z|x) log p(x|z) + (1 - alpha) KL(q(z|x) || p(z)) ]
               + (alpha + lambda - 1) MMD^2(q(z), p(z))

    in nats per image. The mean KL is the mutual information of x and z plus the divergence of q(z)
    from p(z); alpha removes a part of both, and lambda adds the second again, as an MMD in place of
    a KL. MMD^2 has no unit, so its weight is in nats per image; what a value means depends on the
    kernel. The MMD is taken over the batch of all processes. alpha = 0, lambda = 1 is the VAE;
    alpha = 1 is `WAEMMD`.

    Zhao, Song and Ermon 2019, "InfoVAE: Balancing learning and inference in variational
    autoencoders", eq. 6 (equation number not checked), https://arxiv.org/abs/1706.02262.

    Args:
        alpha: at most 1; below 0 the KL weighs more than in the VAE, as in a beta-VAE.
        lambda_: at least 1 - alpha.
        kl_penalty: weighs the KL, with beta = 1 - alpha, see `vaelab.kl_penalties`; `Constant` by
            default.
        kernel, scales: see `vaelab.objectives.mmd.Kernel`.
    """

    alpha: Tensor
    lambda_: Tensor

    def __init__(
        self,
        alpha: float,
        lambda_: float,
        kl_penalty: KLPenalty | None = None,
        kernel: str = "imq",
        scales: Sequence[float] = SCALES,
    ):
        super().__init__()
        require_range("alpha", alpha, at_most=1, example=0)
        require(
            alpha + lambda_ >= 1,
            f"lambda_ expects a number of at least 1 - alpha, got {lambda_} with alpha={alpha}; "
            "try 10.",
        )
        self.register_buffer("alpha", torch.tensor(float(alpha)))
        self.register_buffer("lambda_", torch.tensor(float(lambda_)))
        self.kl_penalty = kl_penalty or Constant()
        self.kernel = Kernel(kernel, scales)

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        terms = elbo_terms(model, x)
        means = terms.means()
        penalty, state = self.kl_penalty(1 - self.alpha, terms, step)
        squared_mmd = squared_mmd_to_prior(terms.z, terms.p_z, self.kernel)
        weight = self.alpha + self.lambda_ - 1
        return {
            "loss": means["reconstruction"] + penalty + weight * squared_mmd,
            **means,
            "squared_mmd": squared_mmd,
            **state,
        }

    def check_model(self, model: VAE) -> None:
        super().check_model(model)
        require_samples_with_gradient(self, model)
