"""Wasserstein autoencoder whose aggregate posterior is held to the prior by MMD."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vaelab.errors import require
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective
from vaelab.objectives.mmd import (
    SCALES,
    Kernel,
    require_samples_with_gradient,
    squared_mmd_to_prior,
)


class WAEMMD(Objective):
    """loss = E_x [ -E_q(z|x) log p(x|z) ] + lambda MMD^2(q(z), p(z)).

    Not a bound on log p(x): no KL, and only q(z), not each q(z|x), is drawn to the prior. So any
    posterior will do, one without density too. Reconstruction is in nats per image; MMD^2 has no
    unit, so lambda is in nats. Tolstikhin et al. 2018, eq. 4 and algorithm 2; their cost is
    |x - G(z)|^2, which is likelihood=gaussian with sigma = sqrt(1/2) but for a constant. The MMD is
    over the batch of all processes.

    Args:
        lambda_: weight of the MMD, from 0 up.
        kernel, scales: see `vaelab.objectives.mmd.Kernel`.
    """

    lambda_: Tensor

    def __init__(
        self,
        lambda_: float,
        kernel: str = "imq",
        scales: Sequence[float] = SCALES,
    ):
        super().__init__()
        require(
            lambda_ >= 0,
            f"objective.lambda_ expects at least 0, got {lambda_}; try 10.",
        )
        self.register_buffer("lambda_", torch.tensor(float(lambda_)))
        self.kernel = Kernel(kernel, scales)

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        z = model.encode(x).rsample()
        reconstruction = -model.decode(z).log_prob(x).mean()
        squared_mmd = squared_mmd_to_prior(z, model.prior(), self.kernel)
        return {
            "loss": reconstruction + self.lambda_ * squared_mmd,
            "reconstruction": reconstruction,
            "squared_mmd": squared_mmd,
        }

    def check_model(self, model: VAE) -> None:
        """Any posterior is trained; a prior that learns needs samples with a gradient."""
        require_samples_with_gradient(model, "objective WAEMMD")
