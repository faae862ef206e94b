"""A price on the distance between the KL and a capacity that grows."""

import math

import torch
from torch import Tensor

from vaelab.distributed import all_gather_batch
from vaelab.elbo import ElboTerms
from vaelab.errors import require
from vaelab.kl_penalties.annealing import rise
from vaelab.kl_penalties.base import KLPenalty


class Capacity(KLPenalty):
    """cost = beta * |E_x KL(q(z|x) || p(z)) - C(t)|,    C(t) = capacity * min(1, t / num_steps).

    E_x is the mean over the batch of all processes: images may share the capacity unevenly. With
    `per_image` each image is held to it, a different model of at least that cost (Jensen):

        cost = beta * E_x |KL(q(z|x) || p(z)) - C(t)|

    Moved: "capacity", C(t) in nats; "beta", the cost of one more nat, which is beta above C(t) and
    -beta below, and with `per_image` the mean of that over images.
    Burgess et al. 2018, eq. 8, whose gamma is beta here.

    Args:
        capacity: in nats per image, from 0 up. The data may have fewer: dSprites has 13.5.
        num_steps: of the rise from 0; with 0 steps C is the capacity from the start.
        per_image: hold each image to the capacity, not the mean of the batch.
    """

    capacity: Tensor

    def __init__(self, capacity: float, num_steps: int, per_image: bool = False):
        super().__init__()
        check_capacity("kl_penalty", capacity, num_steps)
        self.register_buffer("capacity", torch.tensor(float(capacity)))
        self.rise = rise(num_steps)
        self.per_image = per_image

    def forward(
        self, beta: Tensor, terms: ElboTerms, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        capacity = self.capacity * self.rise.multiplier(step)
        kl = terms.kl if self.per_image else all_gather_batch(terms.kl).mean()
        excess = kl - capacity
        slope = beta * excess.detach().sign().mean()
        return beta * excess.abs().mean(), {"beta": slope, "capacity": capacity}


def check_capacity(owner: str, capacity: float, num_steps: int) -> None:
    """Refuse a capacity that makes no sense, by the name that the owner's options have.

    Raises:
        UserError: the capacity is no finite number from 0 up, or num_steps is negative.
    """
    require(
        0 <= capacity < math.inf,
        f"{owner}.capacity expects nats per image from 0 up, got {capacity}; try 25.",
    )
    require(
        num_steps >= 0,
        f"{owner}.num_steps expects a number of steps from 0 up, got {num_steps}; try 100000.",
    )
