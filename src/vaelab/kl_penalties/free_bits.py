"""Free bits: no penalty below a number of nats per latent."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributed import all_gather_batch
from vaelab.distributions import kl_per_latent
from vaelab.elbo import ElboTerms
from vaelab.errors import UserError, require_range
from vaelab.kl_penalties.base import KLPenalty


class FreeBits(KLPenalty):
    """The KL of each latent, but at least lambda nats, so that lambda nats per latent are free.

        penalty = beta * sum_j max(lambda, E_x KL(q(z_j|x) || p(z_j)))

    Below lambda the gradient of a latent is zero, so nothing pushes it there towards the prior. E_x
    is the mean over the batch of all processes. At lambda = 0 the penalty is beta * KL.

    State: "beta", the mean over latents of beta for those at lambda or above and 0 for the others.
    Kingma et al. 2016, "Improved variational inference with inverse autoregressive flow", eq. 15
    (equation number not checked), https://arxiv.org/abs/1606.04934, with one group per latent.

    Args:
        nats_per_latent: lambda, at least 0.

    Raises:
        UserError: lambda is out of its range; at `check_distributions` or the first step: the KL is
            not a sum over latents in closed form.
    """

    nats_per_latent: Tensor

    def __init__(self, nats_per_latent: float):
        super().__init__()
        require_range("nats_per_latent", nats_per_latent, at_least=0, unit="nats", example=0.25)
        self.register_buffer("nats_per_latent", torch.tensor(float(nats_per_latent)))

    def forward(
        self, beta: Tensor, terms: ElboTerms, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        kl = all_gather_batch(_kl_per_latent(terms.q_z, terms.p_z)).mean(0)
        # clamp and not maximum: at the floor itself, so at lambda = 0, the gradient is that above.
        penalty = beta * kl.clamp(min=self.nats_per_latent).sum()
        penalised = (kl.detach() >= self.nats_per_latent).to(kl.dtype)
        return penalty, {"beta": beta * penalised.mean()}

    def check_distributions(self, q_z: Distribution, p_z: Distribution) -> None:
        _kl_per_latent(q_z, p_z)


def _kl_per_latent(q_z: Distribution, p_z: Distribution) -> Tensor:
    """`kl_per_latent` (B, L), or a UserError where there is none."""
    kl = kl_per_latent(q_z, p_z)
    if kl is None:
        raise UserError(
            "FreeBits expects a posterior and a prior with independent latents and a KL in closed "
            f"form, got {type(q_z).__name__} and {type(p_z).__name__}; use the posterior Gaussian "
            "and the prior StandardNormal, or the KL penalty Capacity."
        )
    return kl
