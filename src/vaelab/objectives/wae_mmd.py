"""The Wasserstein autoencoder with an MMD penalty on the aggregate posterior."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vaelab.errors import require_range
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective
from vaelab.objectives.mmd import (
    SCALES,
    Kernel,
    require_samples_with_gradient,
    squared_mmd_to_prior,
)


class WAEMMD(Objective):
    """Reconstruction and an MMD between the aggregate posterior q(z) and the prior.

        loss = E_x [ -E_q(z|x) log p(x|z) ] + lambda MMD^2(q(z), p(z))

    Not a bound on log p(x): there is no KL, and only q(z), not each q(z|x), is drawn towards the
    prior. So any posterior can be used, also one without a density. Reconstruction is in nats per
    image; MMD^2 has no unit, so lambda is in nats. The MMD is over the batch of all processes.

    Tolstikhin et al. 2018, "Wasserstein auto-encoders", eq. 4 and algorithm 2,
    https://arxiv.org/abs/1711.01558. Their reconstruction |x - G(z)|^2 is, up to a constant, the
    likelihood Gaussian with sigma = sqrt(1/2).

    Args:
        lambda_: weight of the MMD, at least 0.
        kernel, scales: see `vaelab.objectives.mmd.Kernel`.
    """

    lambda_: Tensor

    def __init__(self, lambda_: float, kernel: str = "imq", scales: Sequence[float] = SCALES):
        super().__init__()
        require_range("lambda_", lambda_, at_least=0, example=10)
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
        """Accept any posterior, and a prior with parameters only if its samples have a gradient."""
        require_samples_with_gradient(self, model)
