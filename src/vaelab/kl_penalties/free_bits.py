"""Free bits: a floor under the cost of each latent."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributed import all_gather_batch
from vaelab.distributions import kl_per_latent
from vaelab.elbo import ElboTerms
from vaelab.errors import UserError, require
from vaelab.kl_penalties.base import KLPenalty


class FreeBits(KLPenalty):
    """cost = beta * sum_j max(lambda, E_x KL(q(z_j|x) || p(z_j))), with lambda in nats per latent.

    A latent costs the same whatever it says with fewer than lambda nats, so nothing pushes it there
    towards the prior: its gradient is zero. E_x is the mean over the batch of all processes. At
    lambda = 0 the cost is beta * KL.

    Moved: "beta", the cost of one more nat, averaged over latents: beta for those at lambda or
    above, 0 for the others. Kingma et al. 2016, eq. 15, with a group for each latent.

    Args:
        nats_per_latent: lambda, from 0 up.

    Raises:
        UserError: the KL is no sum over latents in closed form.
    """

    nats_per_latent: Tensor

    def __init__(self, nats_per_latent: float):
        super().__init__()
        require(
            0 <= nats_per_latent < math.inf,
            "kl_penalty.nats_per_latent expects nats of each latent from 0 up, got "
            f"{nats_per_latent}; try 0.25.",
        )
        self.register_buffer("nats_per_latent", torch.tensor(float(nats_per_latent)))

    def forward(
        self, beta: Tensor, terms: ElboTerms, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        kl = all_gather_batch(_kl_of_latents(terms.q_z, terms.p_z)).mean(0)
        # clamp and not maximum: at the floor itself, so at lambda = 0, the gradient is that above.
        cost = beta * kl.clamp(min=self.nats_per_latent).sum()
        paying = (kl.detach() >= self.nats_per_latent).to(kl.dtype)
        return cost, {"beta": beta * paying.mean()}

    def check_distributions(self, q_z: Distribution, p_z: Distribution) -> None:
        _kl_of_latents(q_z, p_z)


def _kl_of_latents(q_z: Distribution, p_z: Distribution) -> Tensor:
    """(B, L), or a UserError."""
    kl = kl_per_latent(q_z, p_z)
    if kl is None:
        raise UserError(
            "kl_penalty=free_bits expects a posterior and a prior with independent latents and a KL "
            f"in closed form, got {type(q_z).__name__} and {type(p_z).__name__}; use "
            "posterior=gaussian and prior=standard_normal, or kl_penalty=capacity."
        )
    return kl
