"""Free bits: a floor under the cost of each latent."""

import math

import torch
from torch import Tensor

from vaelab.distributions import kl_per_latent, whole_batch
from vaelab.elbo import ElboTerms
from vaelab.errors import UserError, require
from vaelab.schedules.base import Schedule


class FreeBits(Schedule):
    """cost = beta * sum_j max(lambda, E_x KL(q(z_j|x) || p(z_j))), with lambda in nats per latent.

    A latent costs the same whatever it says with fewer than lambda nats, so nothing pushes it there
    towards the prior: its gradient is zero. E_x is the mean over the batch of all processes. At
    lambda = 0 the cost is beta * KL.

    Moved: "beta", the cost of one more nat, averaged over latents: beta for those at lambda or
    above, 0 for the others. Kingma et al. 2016, eq. 15, with a group for each latent.

    Args:
        nats_per_latent: lambda, from 0 up.

    Raises:
        UserError: at the first step, if the KL is no sum over latents in closed form.
    """

    nats_per_latent: Tensor

    def __init__(self, nats_per_latent: float):
        super().__init__()
        require(
            0 <= nats_per_latent < math.inf,
            "schedule.nats_per_latent expects nats of each latent from 0 up, got "
            f"{nats_per_latent}; try 0.25.",
        )
        self.register_buffer("nats_per_latent", torch.tensor(float(nats_per_latent)))

    def forward(
        self, beta: Tensor, terms: ElboTerms, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        per_latent = kl_per_latent(terms.q_z, terms.p_z)
        if per_latent is None:
            raise UserError(
                "schedule=free_bits expects a posterior and a prior with independent latents and "
                f"a KL in closed form, got {type(terms.q_z).__name__} and "
                f"{type(terms.p_z).__name__}; use posterior=gaussian and prior=standard_normal, "
                "or schedule=capacity."
            )
        kl = whole_batch(per_latent).mean(0)
        # clamp and not maximum: at the floor itself, so at lambda = 0, the gradient is that above.
        cost = beta * kl.clamp(min=self.nats_per_latent).sum()
        paying = (kl.detach() >= self.nats_per_latent).to(kl.dtype)
        return cost, {"beta": beta * paying.mean()}
