"""FactorVAE: a discriminator estimates the total correlation of the latents."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from vaelab.distributed import all_gather_batch, local_shard
from vaelab.elbo import elbo_terms
from vaelab.errors import require, require_range
from vaelab.kl_penalties import Constant, KLPenalty
from vaelab.models.initialization import initialize
from vaelab.models.mlp import hidden_layers
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective


class FactorVAE(Objective):
    """The VAE with a penalty on the total correlation of the latents, by a discriminator.

        loss = E_x [ -E_q(z|x) log p(x|z) + KL(q(z|x) || p(z)) ] + gamma TC
        TC = KL(q(z) || prod_j q(z_j)) = E_q(z) [ D_0(z) - D_1(z) ]

    in nats per image. The second form of TC is the density-ratio trick: a discriminator with logits
    D_0, D_1 learns to distinguish z ~ q(z), class 0, from z whose latents were permuted over the
    batch independently, class 1; the optimal one has D_0 - D_1 = log q(z) - log prod_j q(z_j). A
    weak one sees less, so that `total_correlation` is an estimate that lags.

    Both networks learn in one step of one optimiser, from the same weights, and neither from the
    loss of the other: TC passes its gradient through frozen weights to z, and the discriminator
    sees z without gradient. The value of "loss" is the VAE's alone; its gradient includes that of
    `discriminator_loss`. So a step counts once, where disentanglement_lib counts the two updates:
    its 300,000 steps are 150,000 of these. The permuted half is of the same batch, as there; the
    paper takes a second batch. Clipping gradients by norm clips both networks together.

    Kim and Mnih 2018, "Disentangling by factorising", eq. 2 and 3 (number 3 not checked) and
    algorithm 2, https://arxiv.org/abs/1802.05983. The discriminator: Locatello et al. 2019,
    https://arxiv.org/abs/1811.12359.

    Args:
        gamma: weight of the total correlation, at least 0; at 0 the VAE.
        latent_dim: L.
        kl_penalty: weighs the KL, with beta = 1, see `vaelab.kl_penalties`; `Constant` by default.
        hidden: widths of the discriminator's hidden layers.
        slope: slope of its leaky ReLU below zero.
        lr, betas: settings of Adam for the discriminator, its own group of the optimiser.
        init: its initial weights, see `vaelab.models.initialization`.
    """

    gamma: Tensor

    def __init__(
        self,
        gamma: float,
        latent_dim: int,
        kl_penalty: KLPenalty | None = None,
        hidden: Sequence[int] = (1000,) * 6,
        slope: float = 0.2,
        lr: float = 1e-4,
        betas: Sequence[float] = (0.5, 0.9),
        init: str = "pytorch",
    ):
        super().__init__()
        require_range("gamma", gamma, at_least=0, example=10)
        require_range("lr", lr, above=0, example=1e-4)
        require(
            len(betas) == 2 and all(0 <= beta < 1 for beta in betas),
            f"betas expects two numbers in [0, 1), got {list(betas)}; try [0.5, 0.9].",
        )
        self.register_buffer("gamma", torch.tensor(float(gamma)))
        self.kl_penalty = kl_penalty or Constant()
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
        penalty, state = self.kl_penalty(torch.ones_like(self.gamma), terms, step)
        total_correlation = self.log_ratio(terms.z, frozen=True).mean()
        z = terms.z.detach()
        joint, product = self.log_ratio(z), self.log_ratio(permute_latents(z))
        # With two classes -log softmax(D)_0 is softplus(D_1 - D_0).
        discriminator_loss = (softplus(-joint).mean() + softplus(product).mean()) / 2
        correct = torch.cat([joint > 0, product <= 0])
        gradient_only = discriminator_loss - discriminator_loss.detach()  # value 0
        vae_loss = means["reconstruction"] + penalty + self.gamma * total_correlation
        return {
            "loss": vae_loss + gradient_only,
            **means,
            "total_correlation": total_correlation,
            "discriminator_loss": discriminator_loss,
            "discriminator_accuracy": correct.float().mean(),
            "gamma": self.gamma,
            **state,
        }

    def log_ratio(self, z: Tensor, frozen: bool = False) -> Tensor:
        """The discriminator's estimate of log q(z) - log prod_j q(z_j) in nats: (B, L) -> (B,).

        frozen: pass gradients to z but not to the discriminator.
        """
        weights: dict[str, Tensor] = {
            name: weight.detach() if frozen else weight
            for name, weight in self.discriminator.named_parameters()
        }
        logits = functional_call(self.discriminator, weights, (z,)).to(z.dtype)  # 16 bits in AMP
        return logits[:, 0] - logits[:, 1]


def permute_latents(z: Tensor) -> Tensor:
    """Samples of about prod_j q(z_j): each latent permuted over the batch, (B, L) -> (B, L).

    The permutations are independent and uniform, over the batch of all processes.
    Kim and Mnih 2018, algorithm 1, https://arxiv.org/abs/1802.05983.
    """
    batch = all_gather_batch(z)
    order = torch.rand(batch.shape, device=z.device).argsort(0)
    return local_shard(batch.gather(0, order))
