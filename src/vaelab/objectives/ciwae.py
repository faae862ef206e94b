"""The combination importance-weighted autoencoder."""

import torch
from torch import Tensor

from vaelab.distributions import log_mean_weight
from vaelab.errors import require
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_samples
from vaelab.objectives.importance_weights import bound_terms, weighted_samples


class CIWAE(Objective):
    """loss = -E_x [ beta ELBO + (1 - beta) L_K ], in nats per image, with

        ELBO = 1/K sum_k log w_k,    L_K = log 1/K sum_k w_k,    z_k ~ q(z|x)

    of the same K samples; w_k = p(x|z_k) p(z_k) / q(z_k|x). The ELBO keeps the gradient of the
    encoder from drowning in noise as K grows; beta = 0 is the IWAE.
    Rainforth et al. 2018, "Tighter variational bounds are not necessarily better".

    Args:
        beta: weight of the ELBO, in [0, 1]. Not the beta of a beta-VAE.
        num_samples: K, samples of z an image, from 1 up.
    """

    beta: Tensor

    def __init__(self, beta: float = 0.5, num_samples: int = 5):
        super().__init__()
        require(
            0 <= beta <= 1,
            f"objective.beta of a CIWAE expects a weight in [0, 1], got {beta}; try 0.5.",
        )
        require_samples("num_samples", num_samples)
        self.register_buffer("beta", torch.tensor(float(beta)))
        self.num_samples = num_samples

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        samples = weighted_samples(model, x, self.num_samples)
        elbo = samples.log_weights.mean(0)
        bound = log_mean_weight(samples.log_weights, 0)
        loss = -(self.beta * elbo + (1 - self.beta) * bound).mean()
        return bound_terms(loss, bound, samples)
