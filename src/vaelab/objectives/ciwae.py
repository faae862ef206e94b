"""The combination importance-weighted autoencoder."""

import torch
from torch import Tensor

from vaelab.distributions import log_mean_weight
from vaelab.errors import require_range
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective
from vaelab.objectives.importance_weights import bound_terms, weighted_samples


class CIWAE(Objective):
    """A convex combination of the ELBO and the importance-weighted bound L_K.

        loss = -E_x [ beta ELBO + (1 - beta) L_K ]
        ELBO = 1/K sum_k log w_k,    L_K = log 1/K sum_k w_k

    in nats per image, of the same K samples z_k ~ q(z|x), with w_k = p(x|z_k) p(z_k) / q(z_k|x).
    The ELBO keeps the encoder's gradient from being lost in noise as K grows; beta = 0 is the IWAE.

    Rainforth et al. 2018, "Tighter variational bounds are not necessarily better",
    https://arxiv.org/abs/1802.04537.

    Args:
        beta: weight of the ELBO, in [0, 1]. Not the beta of a beta-VAE.
        num_samples: K, samples of z per image, at least 1.
    """

    beta: Tensor

    def __init__(self, beta: float = 0.5, num_samples: int = 5):
        super().__init__()
        require_range("beta", beta, at_least=0, at_most=1, example=0.5)
        require_range("num_samples", num_samples, at_least=1, integer=True, example=5)
        self.register_buffer("beta", torch.tensor(float(beta)))
        self.num_samples = num_samples

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        samples = weighted_samples(model, x, self.num_samples)
        elbo = samples.log_weights.mean(0)
        bound = log_mean_weight(samples.log_weights, 0)
        loss = -(self.beta * elbo + (1 - self.beta) * bound).mean()
        return bound_terms(loss, bound, samples)
