"""Annealed capacity: the KL is held to a capacity that rises."""

import torch
from torch import Tensor

from vaelab.elbo import elbo_terms
from vaelab.errors import require_range
from vaelab.kl_penalties import Capacity
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective


class AnnealedCapacity(Objective):
    """The VAE whose KL is held to a capacity C that rises linearly from 0.

        loss = E_x [ -E_q(z|x) log p(x|z) ] + gamma |E_x KL(q(z|x) || p(z)) - C(t)|
        C(t) = capacity * min(1, t / num_steps)

    in nats per image. E_x in the second term is the mean over the batch of all processes, so that
    images may share C unevenly. At capacity 0 it is the beta-VAE with beta = gamma. The effective
    beta, the term "beta", is gamma above C and -gamma below.

    With `per_image` the absolute value is inside the mean, gamma E_x |KL(q(z|x) || p(z)) - C(t)|:
    every image is held to the same C, whether simple or intricate. That is another model, which
    some implementations of the paper train in its place: objective annealed_capacity_per_image.

    Burgess et al. 2018, "Understanding disentangling in beta-VAE", eq. 8,
    https://arxiv.org/abs/1804.03599. AnnealedVAE in Locatello et al. 2019, "Challenging common
    assumptions in the unsupervised learning of disentangled representations",
    https://arxiv.org/abs/1811.12359 (gamma 1000, num_steps 100,000).

    Args:
        gamma: weight of the distance from C, at least 0.
        capacity: final capacity in nats per image, at least 0.
        num_steps: length of the rise from 0; with 0 steps C is the capacity from the start.
        num_samples: samples of z per image in the first expectation.
        per_image: hold every image to C, not the mean of the batch.
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
        require_range("gamma", gamma, at_least=0, example=1000)
        require_range("num_samples", num_samples, at_least=1, integer=True, example=1)
        self.register_buffer("gamma", torch.tensor(float(gamma)))
        self.kl_penalty = Capacity(capacity, num_steps, per_image)
        self.num_samples = num_samples

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        terms = elbo_terms(model, x, self.num_samples)
        means = terms.means()
        penalty, state = self.kl_penalty(self.gamma, terms, step)
        loss = means["reconstruction"] + penalty
        return {"loss": loss, **means, "gamma": self.gamma, **state}
