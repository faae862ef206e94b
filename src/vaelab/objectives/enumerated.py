"""The ELBO of a discrete z by enumeration, with alternating steps."""

import torch
from torch import Tensor

from vaelab.distributions import states
from vaelab.errors import require, require_range
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective


class Enumerated(Objective):
    """The ELBO of a discrete z, whose expectation is a sum over its values.

        loss = -E_x sum_z q(z|x) [ log p(x, z) - log q(z|x) ]

    in nats per image, without samples and without noise in its gradient. Also terms: `log_p`, the
    exact log p(x) = logsumexp_z log p(x, z), and `gap` = log p(x) + loss = KL(q(z|x) || p(z|x)).
    With `posterior=exact` the gap is 0 and the gradient that of log p(x) (Fisher's identity): q is
    at the maximum of the ELBO, so that its own gradient vanishes.

    Alternating, encoder_steps steps of the encoder with p fixed, then one of decoder and prior with
    q fixed, and so on: variational EM, in which both half steps raise the same bound. Neal and
    Hinton 1998, "A view of the EM algorithm that justifies incremental, sparse, and other
    variants", https://doi.org/10.1007/978-94-011-5014-9_12.

    Args:
        encoder_steps: steps of the encoder before each of decoder and prior; 0 for joint steps.
    """

    is_pathwise = False

    def __init__(self, encoder_steps: int = 0):
        super().__init__()
        require_range("encoder_steps", encoder_steps, at_least=0, integer=True, example=5)
        self.encoder_steps = encoder_steps

    def check_model(self, model: VAE) -> None:
        super().check_model(model)
        states(model.prior())
        require(
            not (self.encoder_steps and model.posterior.is_exact),
            "encoder_steps expects 0 for the posterior Exact, which has no encoder, got "
            f"{self.encoder_steps}; use the posterior Categorical.",
        )

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        log_joint, p_z = model.log_joint(x), model.prior()
        z = states(p_z)[:, None]
        raw = log_joint.movedim(0, -1) if model.posterior.is_exact else model.encode_raw(x)
        q_z = model.posterior(raw)
        log_q = q_z.log_prob(z)
        if self.encoder_steps:
            of_encoder = step % (self.encoder_steps + 1) < self.encoder_steps
            log_joint, log_q = (
                (log_joint.detach(), log_q) if of_encoder else (log_joint, log_q.detach())
            )
        q = log_q.exp()
        elbo = (q * (log_joint - log_q)).sum(0)
        kl = (q * (log_q - p_z.log_prob(z))).sum(0).detach().mean()
        log_p = torch.logsumexp(log_joint.detach(), 0).mean()
        mean = elbo.mean()
        return {
            "loss": -mean,
            "elbo": mean.detach(),
            "reconstruction": -mean.detach() - kl,
            "kl": kl,
            "log_p": log_p,
            "gap": log_p - mean.detach(),
        }
