"""The contractive autoencoder."""

import torch
from torch import Tensor
from torch.func import vjp

from vaelab.errors import require_range
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_fixed_prior


class ContractiveAutoencoder(Objective):
    """The autoencoder with a penalty on the Jacobian of its encoder.

        loss = E_x [ -E_q(z|x) log p(x|z) + weight * ||d mu(x) / d x||_F^2 ]

    in nats per image. mu is the mean of q(z|x), and z - mu its noise (none for the posterior
    Delta). The Jacobian is exact for every encoder that does not mix images, by one backward pass
    per latent; with ReLU it is that of the linear piece. The penalty constrains the encoder alone,
    and a decoder with larger weights can undo it; Rifai et al. tie the weights of the two, which is
    not done here.

    Rifai et al. 2011, "Contractive auto-encoders: Explicit invariance during feature extraction",
    eq. 7 (equation number not checked), https://icml.cc/2011/papers/455_icmlpaper.pdf.

    Terms: `contraction`, weight * E_x ||d mu / d x||_F^2.

    Args:
        weight: lambda of the paper, at least 0.
    """

    weight: Tensor

    def __init__(self, weight: float = 0.1):
        super().__init__()
        require_range("weight", weight, at_least=0, example=0.1)
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
        """Accept any posterior, since there is no KL, but no prior with parameters."""
        require_fixed_prior(self, model)


def sample_and_jacobian_norm(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """z ~ q(z|x) and ||d mu / d x||_F^2, both with gradients: (B, L) and (B,)."""

    def encode(images: Tensor) -> tuple[Tensor, Tensor]:
        q_z = model.encode(images)
        return q_z.mean, q_z.rsample()

    # torch.func and not torch.autograd.grad, through which torch.compile does not trace.
    mu, backward, z = vjp(encode, x, has_aux=True)  # type: ignore[misc]
    rows = torch.eye(mu.shape[1], dtype=mu.dtype, device=mu.device)
    # mu_b depends on image b alone, so all images share a backward pass.
    norms = [backward(row.expand_as(mu))[0].square().flatten(1).sum(1) for row in rows]
    return z, torch.stack(norms).sum(0)
