"""FactorVAE: a discriminator estimates the total correlation of the latents."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from vaelab.distributed import all_gather_batch, local_shard
from vaelab.elbo import elbo_terms
from vaelab.errors import require
from vaelab.kl_penalties import KLPenalty
from vaelab.models.initialization import initialize
from vaelab.models.mlp import hidden_layers
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective


class FactorVAE(Objective):
    """loss = E_x [ -E_q(z|x) log p(x|z) + beta_t KL(q(z|x) || p(z)) ] + gamma TC, nats per image.

    TC = KL(q(z) || prod_j q(z_j)) by the density-ratio trick: a discriminator with logits D_0, D_1
    learns to tell z ~ q(z), class 0, from z whose latents were permuted over the batch, each on its
    own, class 1. The best one has D_0 - D_1 = log q(z) - log prod_j q(z_j), and so TC is the mean
    of D_0(z) - D_1(z). A weak one tells less: `total_correlation` is an estimate that lags.
    Kim and Mnih 2018, eq. 2, 3 and algorithm 2, with beta_t = 1 in a constant kl_penalty.

    Both networks learn in one step of one optimiser, from the same weights, and neither from the
    loss of the other: TC passes its gradient through frozen weights to z, and the discriminator
    sees z without gradient. The value of "loss" is the VAE's alone; it carries the gradient of
    `discriminator_loss` besides. So a step counts once, where disentanglement_lib counts the two
    updates: its 300,000 steps are 150,000 of these. The permuted half is of the same batch, as
    there; the paper takes a second batch. `trainer.gradient_clip_val` cuts the norm of the
    gradients of both networks together.

    Args:
        gamma: weight of the total correlation, from 0 up; at 0 the VAE.
        kl_penalty: how the cost of the KL moves, see `vaelab.kl_penalties`.
        latent_dim: L.
        hidden: widths of the discriminator's hidden layers.
        slope: of its leaky ReLU below zero.
        lr, betas: of its Adam, the discriminator's own group of the optimiser.
        init: its initial weights, see `vaelab.models.initialization`.
    """

    gamma: Tensor

    def __init__(
        self,
        gamma: float,
        kl_penalty: KLPenalty,
        latent_dim: int,
        hidden: Sequence[int] = (1000,) * 6,
        slope: float = 0.2,
        lr: float = 1e-4,
        betas: Sequence[float] = (0.5, 0.9),
        init: str = "pytorch",
    ):
        super().__init__()
        require(gamma >= 0, f"objective.gamma expects a weight of at least 0, got {gamma}; try 10.")
        require(lr > 0, f"objective.lr expects a learning rate above 0, got {lr}; try 1e-4.")
        require(
            len(betas) == 2 and all(0 <= beta < 1 for beta in betas),
            f"objective.betas expects two numbers in [0, 1), got {list(betas)}; try [0.5, 0.9].",
        )
        self.register_buffer("gamma", torch.tensor(float(gamma)))
        self.kl_penalty = kl_penalty
        self.lr, self.betas = lr, tuple(betas)
        widths = [latent_dim, *hidden]
        layers = hidden_layers(widths, "leaky_relu", negative_slope=slope)
        self.discriminator = nn.Sequential(*layers, nn.Linear(widths[-1], 2))
        initialize(self.discriminator, init)

    def parameter_groups(self) -> list[dict[str, Any]]:
        parameters = list(self.discriminator.parameters())
        return [{"params": parameters, "lr": self.lr, "betas": self.betas}]

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        terms = elbo_terms(model, x)
        means = terms.means()
        cost, moved = self.kl_penalty(torch.ones_like(self.gamma), terms, step)
        total_correlation = self.log_ratio(terms.z, frozen=True).mean()
        z = terms.z.detach()
        joint, product = self.log_ratio(z), self.log_ratio(permute_latents(z))
        # With two classes -log softmax(D)_0 is softplus(D_1 - D_0).
        discriminator_loss = (softplus(-joint).mean() + softplus(product).mean()) / 2
        correct = torch.cat([joint > 0, product <= 0])
        learn = discriminator_loss - discriminator_loss.detach()  # 0, with a gradient
        return {
            "loss": means["reconstruction"] + cost + self.gamma * total_correlation + learn,
            **means,
            "total_correlation": total_correlation,
            "discriminator_loss": discriminator_loss,
            "discriminator_accuracy": correct.float().mean(),
            "gamma": self.gamma,
            **moved,
        }

    def log_ratio(self, z: Tensor, frozen: bool = False) -> Tensor:
        """The discriminator's log q(z) - log prod_j q(z_j) in nats: (B, L) -> (B,).

        frozen: pass gradients to z but none to the discriminator.
        """
        weights: dict[str, Tensor] = {
            name: weight.detach() if frozen else weight
            for name, weight in self.discriminator.named_parameters()
        }
        logits = functional_call(self.discriminator, weights, (z,)).to(z.dtype)  # of AMP: upwards
        return logits[:, 0] - logits[:, 1]


def permute_latents(z: Tensor) -> Tensor:
    """Each latent permuted over the batch of all processes: (B, L) -> (B, L), about prod_j q(z_j).

    The permutations are independent and uniform. Kim and Mnih 2018, algorithm 1.
    """
    whole = all_gather_batch(z)
    order = torch.rand(whole.shape, device=z.device).argsort(0)
    return local_shard(whole.gather(0, order))
