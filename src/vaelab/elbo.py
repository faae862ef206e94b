"""The two terms of the evidence lower bound."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributions import kl_divergence
from vaelab.models.vae import VAE


@dataclass(frozen=True)
class ElboTerms:
    """Per-image terms in nats, both costs to be minimised: elbo = -(reconstruction + kl).

    Attributes:
        reconstruction: (B,), the cost -E_q(z|x) [log p(x|z)] (minus the log likelihood, lower is
            better), estimated with the samples z.
        kl: (B,), KL(q(z|x) || p(z)).
        q_z: q(z|x), batch (B,).
        p_z: p(z).
        z: (num_samples, B, L), or (B, L) for one sample.
    """

    reconstruction: Tensor
    kl: Tensor
    q_z: Distribution
    p_z: Distribution
    z: Tensor

    def means(self) -> dict[str, Tensor]:
        """reconstruction, kl and elbo averaged over images: scalars, elbo without gradient."""
        reconstruction, kl = self.reconstruction.mean(), self.kl.mean()
        elbo = -(reconstruction + kl).detach()
        return {"reconstruction": reconstruction, "kl": kl, "elbo": elbo}


def elbo_terms(
    model: VAE, x: Tensor, num_samples: int = 1, q_z: Distribution | None = None
) -> ElboTerms:
    """The terms of the ELBO, with `num_samples` samples of q(z|x) per image.

        ELBO(x) = E_q(z|x) [log p(x|z)] - KL(q(z|x) || p(z))

    Samples are reparameterised, except of a discrete z, whose reconstruction then has no gradient
    for the encoder. The KL is in closed form where there is one, see `kl_divergence`. Kingma and
    Welling 2014, "Auto-encoding variational Bayes", eq. 3 and 7, https://arxiv.org/abs/1312.6114.

    Args:
        model: the VAE.
        x: (B, C, H, W).
        num_samples: samples of z per image.
        q_z: batch (B,), in place of the encoder's q(z|x).
    """
    q_z, p_z = model.encode(x) if q_z is None else q_z, model.prior()
    sample = q_z.rsample if q_z.has_rsample else q_z.sample
    z = sample() if num_samples == 1 else sample(torch.Size([num_samples]))
    reconstruction = -model.decode(z).log_prob(x)
    if num_samples > 1:
        reconstruction = reconstruction.mean(0)
    return ElboTerms(reconstruction, kl_divergence(q_z, p_z, z), q_z, p_z, z)
