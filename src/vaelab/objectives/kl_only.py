"""The KL without reconstruction: one of the three figures that explain a VAE."""

from torch import Tensor

from vaelab.elbo import elbo_terms
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective


class KLOnly(Objective):
    """The KL alone, without reconstruction.

        loss = E_x KL(q(z|x) || p(z))

    in nats per image. Its optimum is q(z|x) = p(z) for every x: codes that carry no information,
    and a decoder that stays as it was. Beside `Autoencoder` (reconstruction alone) and the VAE
    (both) it shows what each of the two terms of the ELBO does to the latent space.

    Kingma and Welling 2014, "Auto-encoding variational Bayes", the first term of eq. 3 and 7,
    https://arxiv.org/abs/1312.6114.

    Terms: `reconstruction`, `kl` and `elbo`, of which the loss is the KL.
    """

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        terms = elbo_terms(model, x)
        reconstruction, kl = terms.reconstruction.mean(), terms.kl.mean()
        return {
            # 0 * reconstruction, since ddp waits for a gradient of every weight of the decoder.
            "loss": kl + 0 * reconstruction,
            "reconstruction": reconstruction,
            "kl": kl,
            "elbo": -(reconstruction + kl).detach(),
        }
