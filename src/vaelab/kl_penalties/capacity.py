"""Capacity control: the KL is held to a capacity that rises."""

import torch
from torch import Tensor

from vaelab.distributed import all_gather_batch
from vaelab.elbo import ElboTerms
from vaelab.errors import require_range
from vaelab.kl_penalties.annealing import linear_rise
from vaelab.kl_penalties.base import KLPenalty


class Capacity(KLPenalty):
    """The distance of the KL from a capacity that rises linearly from 0.

        penalty = beta * |E_x KL(q(z|x) || p(z)) - C(t)|,    C(t) = capacity * min(1, t / num_steps)

    E_x is the mean over the batch of all processes: images may share the capacity unevenly. With
    `per_image` each image is held to it, a different model with a penalty at least as large
    (Jensen):

        penalty = beta * E_x |KL(q(z|x) || p(z)) - C(t)|

    State: "capacity", C(t) in nats per image; "beta", which is beta above C(t) and -beta below, and
    with `per_image` the mean of that over images.
    Burgess et al. 2018, "Understanding disentangling in beta-VAE", eq. 8 (equation number not
    checked), https://arxiv.org/abs/1804.03599; their gamma is beta here.

    Args:
        capacity: in nats per image, at least 0. The data may hold fewer: dSprites has 13.5.
        num_steps: length of the rise from 0; with 0 steps C is the capacity from the start.
        per_image: hold each image to the capacity, not the mean of the batch.

    Raises:
        UserError: an argument out of its range.
    """

    capacity: Tensor

    def __init__(self, capacity: float, num_steps: int, per_image: bool = False):
        super().__init__()
        require_range("capacity", capacity, at_least=0, unit="nats per image", example=25.0)
        self.register_buffer("capacity", torch.tensor(float(capacity)))
        self.rise = linear_rise(num_steps)
        self.per_image = per_image

    def forward(
        self, beta: Tensor, terms: ElboTerms, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        capacity = self.capacity * self.rise.multiplier(step)
        kl = terms.kl if self.per_image else all_gather_batch(terms.kl).mean()
        excess = kl - capacity
        slope = beta * excess.detach().sign().mean()
        return beta * excess.abs().mean(), {"beta": slope, "capacity": capacity}
