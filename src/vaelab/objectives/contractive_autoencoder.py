"""The contractive autoencoder."""

import torch
from torch import Tensor
from torch.func import vjp

from vaelab.errors import require
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_fixed_prior


class ContractiveAutoencoder(Objective):
    """loss = E_x [ -E_q(z|x) log p(x|z) + weight * ||d mu(x) / d x||_F^2 ], in nats per image.

    mu is the mean of q(z|x) and z - mu its noise (none with posterior=delta). The Jacobian is exact
    for any encoder whose images do not mix: one backward pass a latent. The penalty pulls on the
    encoder alone, and a decoder that multiplies by more can undo it; Rifai et al. tie the weights
    of the two, which these networks do not. With ReLU the Jacobian is that of the linear piece.

    Rifai et al. 2011, "Contractive auto-encoders: explicit invariance during feature extraction",
    eq. 7.

    Args:
        weight: lambda of the paper, from 0 up.

    Terms: contraction, weight * E_x ||d mu / d x||_F^2.
    """

    weight: Tensor

    def __init__(self, weight: float = 0.1):
        super().__init__()
        require(
            weight >= 0, f"objective.weight expects a weight of at least 0, got {weight}; try 0.1."
        )
        self.register_buffer("weight", torch.tensor(float(weight)))

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        z, squared_norm = sample_and_jacobian_norm(model, x)
        reconstruction = -model.decode(z).log_prob(x).mean()
        contraction = self.weight * squared_norm.mean()
        return {
            "loss": reconstruction + contraction,
            "reconstruction": reconstruction,
            "contraction": contraction,
        }

    def check_model(self, model: VAE) -> None:
        """Any posterior will do, since there is no KL; a prior that learns would not."""
        require_fixed_prior(model, "objective ContractiveAutoencoder")


def sample_and_jacobian_norm(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """z ~ q(z|x) and ||d mu / d x||_F^2, both with gradients: (B, L) and (B,)."""

    def encode(images: Tensor) -> tuple[Tensor, Tensor]:
        q_z = model.encode(images)
        return q_z.mean, q_z.rsample()

    # torch.func and not torch.autograd.grad, through which torch.compile does not trace.
    mu, backward, z = vjp(encode, x, has_aux=True)  # type: ignore[misc]
    rows = torch.eye(mu.shape[1], dtype=mu.dtype, device=mu.device)
    # Image b is the only one that mu_b depends on, so all images share a backward pass.
    norms = [backward(row.expand_as(mu))[0].square().flatten(1).sum(1) for row in rows]
    return z, torch.stack(norms).sum(0)
