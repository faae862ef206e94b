"""beta-VAE, and with beta = 1 the VAE."""

import torch
from torch import Tensor

from vaelab.elbo import elbo_terms
from vaelab.errors import require_range
from vaelab.kl_penalties import Constant, KLPenalty
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective


class BetaVAE(Objective):
    """The VAE with a weight beta on its KL.

        loss = E_x [ -E_q(z|x) log p(x|z) + beta_t KL(q(z|x) || p(z)) ]

    in nats per image, with beta_t = beta for the KL penalty `Constant`. At beta_t = 1 the loss is
    the negative ELBO. Pixels and latents are summed, so beta is the beta of the papers.

    Higgins et al. 2017, "beta-VAE: Learning basic visual concepts with a constrained variational
    framework", eq. 4, https://openreview.net/forum?id=Sy2fzU9gl. beta = 1: Kingma and Welling 2014,
    "Auto-encoding variational Bayes", eq. 3 and 7, https://arxiv.org/abs/1312.6114.

    Terms: `beta_norm` = beta_t * latents / pixels is the scale on which networks and image sizes
    compare (Higgins et al. 2017, app. A.6; number not checked).

    Args:
        beta: weight of the KL, at least 0.
        kl_penalty: how beta weighs the KL, see `vaelab.kl_penalties`; `Constant` by default.
        num_samples: samples of z per image in the expectation.
    """

    beta: Tensor

    def __init__(self, beta: float, kl_penalty: KLPenalty | None = None, num_samples: int = 1):
        super().__init__()
        require_range("beta", beta, at_least=0, example=4)
        require_range("num_samples", num_samples, at_least=1, integer=True, example=1)
        self.register_buffer("beta", torch.tensor(float(beta)))
        self.kl_penalty = kl_penalty or Constant()
        self.num_samples = num_samples

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        terms = elbo_terms(model, x, self.num_samples)
        means = terms.means()
        penalty, state = self.kl_penalty(self.beta, terms, step)
        return {
            "loss": means["reconstruction"] + penalty,
            **means,
            "beta_norm": state["beta"] * model.latent_dim / model.num_pixels,
            **state,
        }
