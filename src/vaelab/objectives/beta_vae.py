"""beta-VAE, and with beta = 1 the plain VAE."""

import torch
from torch import Tensor

from vaelab.elbo import elbo_terms
from vaelab.errors import require
from vaelab.kl_penalties import KLPenalty
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_samples


class BetaVAE(Objective):
    """loss = E_x [ -E_q(z|x) log p(x|z) + beta_t KL(q(z|x) || p(z)) ], in nats per image.

    With a constant kl_penalty beta_t = beta. At beta_t = 1 the loss is minus the ELBO. Pixels and
    latents are summed, so beta is the beta of the papers; beta_norm = beta_t * latents / pixels is
    the scale on which networks and image sizes compare. Higgins et al. 2017, eq. 4 and app. A.6.

    Args:
        beta: weight of the KL term, from 0 up.
        num_samples: samples of z an image in the expectation.
        kl_penalty: how the cost of the KL moves, see `vaelab.kl_penalties`.
    """

    beta: Tensor

    def __init__(self, beta: float, kl_penalty: KLPenalty, num_samples: int = 1):
        super().__init__()
        require(beta >= 0, f"objective.beta expects a weight of at least 0, got {beta}; try 4.")
        require_samples("num_samples", num_samples)
        self.register_buffer("beta", torch.tensor(float(beta)))
        self.kl_penalty = kl_penalty
        self.num_samples = num_samples

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        terms = elbo_terms(model, x, self.num_samples)
        means = terms.means()
        cost, moved = self.kl_penalty(self.beta, terms, step)
        return {
            "loss": means["reconstruction"] + cost,
            **means,
            "beta_norm": moved["beta"] * model.latent_dim / model.num_pixels,
            **moved,
        }
