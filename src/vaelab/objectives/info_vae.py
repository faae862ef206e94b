"""InfoVAE: less KL for each image, and an MMD that holds the aggregate posterior to the prior."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vaelab.elbo import elbo_terms
from vaelab.errors import require
from vaelab.kl_penalties import KLPenalty
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective
from vaelab.objectives.mmd import (
    SCALES,
    Kernel,
    require_samples_with_gradient,
    squared_mmd_to_prior,
)


class InfoVAE(Objective):
    """loss = E_x [ -E_q(z|x) log p(x|z) + (1 - alpha) KL(q(z|x) || p(z)) ]
    + (alpha + lambda - 1) MMD^2(q(z), p(z)).

    The KL of an image holds its information on x and the divergence of q(z) from p(z); alpha takes
    a part of both away, and lambda weighs the second anew, by MMD in place of its KL. MMD^2 has no
    unit, so its weight is in nats per image as the rest; what it means depends on the kernel.
    alpha = 0, lambda = 1 is the VAE; alpha = 1 is `WAEMMD`.
    Zhao, Song and Ermon 2019, eq. 6. The MMD is over the batch of all processes.

    Args:
        alpha: at most 1; below 0 the KL weighs more, as in a beta-VAE.
        lambda_: at least 1 - alpha.
        kl_penalty: how the cost of the KL moves, with beta = 1 - alpha, see `vaelab.kl_penalties`.
        kernel, scales: see `vaelab.objectives.mmd.Kernel`.
    """

    alpha: Tensor
    lambda_: Tensor

    def __init__(
        self,
        alpha: float,
        lambda_: float,
        kl_penalty: KLPenalty,
        kernel: str = "imq",
        scales: Sequence[float] = SCALES,
    ):
        super().__init__()
        require(alpha <= 1, f"objective.alpha expects a number up to 1, got {alpha}; try 0.")
        require(
            alpha + lambda_ >= 1,
            f"objective.lambda_ expects at least 1 - alpha, got {lambda_} with alpha = {alpha}; "
            "try 10.",
        )
        self.register_buffer("alpha", torch.tensor(float(alpha)))
        self.register_buffer("lambda_", torch.tensor(float(lambda_)))
        self.kl_penalty = kl_penalty
        self.kernel = Kernel(kernel, scales)

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        terms = elbo_terms(model, x)
        means = terms.means()
        cost, moved = self.kl_penalty(1 - self.alpha, terms, step)
        squared_mmd = squared_mmd_to_prior(terms.z, terms.p_z, self.kernel)
        return {
            "loss": means["reconstruction"] + cost + (self.alpha + self.lambda_ - 1) * squared_mmd,
            **means,
            "squared_mmd": squared_mmd,
            **moved,
        }

    def check_model(self, model: VAE) -> None:
        super().check_model(model)
        require_samples_with_gradient(model, "objective InfoVAE")
