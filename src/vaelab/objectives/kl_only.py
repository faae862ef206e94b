"""The KL without reconstruction: one of the three pictures that explain a VAE."""

from torch import Tensor

from vaelab.elbo import elbo_terms
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective


class KLOnly(Objective):
    """loss = E_x KL(q(z|x) || p(z)), in nats per image.

    Its optimum is q(z|x) = p(z) for every x: codes that say nothing, and a decoder that stays as it
    was. With objective=autoencoder (reconstruction alone) and objective=vae (both) it shows what
    each of the two terms of the ELBO does to the latent space.

    Terms: reconstruction, kl and elbo, of which the loss is the KL.
    """

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        terms = elbo_terms(model, x)
        reconstruction, kl = terms.reconstruction.mean(), terms.kl.mean()
        return {
            # Zero times it, since ddp waits for a gradient of every weight, the decoder's included.
            "loss": kl + 0 * reconstruction,
            "reconstruction": reconstruction,
            "kl": kl,
            "elbo": -(reconstruction + kl).detach(),
        }
