"""Annealed capacity: the KL of the batch held to a capacity that grows."""

import torch
from torch import Tensor

from vaelab.elbo import elbo_terms
from vaelab.errors import require
from vaelab.kl_penalties import Capacity
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_samples


class AnnealedCapacity(Objective):
    """loss = E_x [-E_q(z|x) log p(x|z)] + gamma * |E_x KL(q(z|x) || p(z)) - C(t)|,

    in nats per image, with C(t) = capacity * min(1, t / num_steps). At capacity 0 it is the
    beta-VAE with beta = gamma. E_x in the second term is the mean over the batch of all processes,
    so that images may share C unevenly. "beta" is the cost of one more nat of KL, gamma above C
    and -gamma below. Burgess et al. 2018, eq. 8; AnnealedVAE in Locatello et al. 2019 (gamma 1000,
    num_steps 100,000).

    With `per_image` the absolute value is inside of the mean, gamma * E_x |KL(q(z|x) || p(z)) -
    C(t)|: all images get the same C, the simple and the intricate ones. That is another model,
    which some code of that paper has in its place: objective=annealed_capacity_per_image.

    Args:
        gamma: weight of the distance, from 0 up.
        capacity: in nats per image, from 0 up.
        num_steps: of C's rise from 0; with 0 steps C is the capacity from the start.
        num_samples: samples of z an image in the first expectation.
        per_image: hold each image to C, not the mean of the batch.
    """

    gamma: Tensor

    def __init__(
        self,
        gamma: float,
        capacity: float,
        num_steps: int,
        num_samples: int = 1,
        per_image: bool = False,
    ):
        super().__init__()
        require(gamma >= 0, f"objective.gamma expects a weight from 0 up, got {gamma}; try 1000.")
        require_samples("num_samples", num_samples)
        self.register_buffer("gamma", torch.tensor(float(gamma)))
        self.kl_penalty = Capacity(capacity, num_steps, per_image)
        self.num_samples = num_samples

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        terms = elbo_terms(model, x, self.num_samples)
        means = terms.means()
        distance, moved = self.kl_penalty(self.gamma, terms, step)
        return {
            "loss": means["reconstruction"] + distance,
            **means,
            "gamma": self.gamma,
            **moved,
        }
