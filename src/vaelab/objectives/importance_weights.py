"""Importance weights with gradients, which the tighter bounds share."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributions import effective_sample_size
from vaelab.models.vae import VAE


@dataclass(frozen=True)
class WeightedSamples:
    """Terms of every sample of every image in nats, (K, B).

    Attributes:
        reconstruction: -log p(x|z_k).
        kl: log q(z_k|x) - log p(z_k), whose mean under q is the KL. Not its closed form, since each
            weight depends on its own z_k.
    """

    reconstruction: Tensor
    kl: Tensor

    @property
    def log_weights(self) -> Tensor:
        """log w_k = log p(x|z_k) + log p(z_k) - log q(z_k|x), (K, B)."""
        return -(self.reconstruction + self.kl)


def weighted_samples(model: VAE, x: Tensor, num_samples: int) -> WeightedSamples:
    """K reparameterised samples z_k ~ q(z|x) of each image (B, C, H, W), decoded in one call."""
    q_z = model.encode(x)
    return weigh(model, x, q_z.rsample(torch.Size([num_samples])), q_z)


def weigh(model: VAE, x: Tensor, z: Tensor, q_z: Distribution) -> WeightedSamples:
    """The terms of given samples z (K, B, L), with log q(z_k|x) from q_z."""
    kl = q_z.log_prob(z) - model.prior().log_prob(z)
    return WeightedSamples(-model.decode(z).log_prob(x), kl)


def bound_terms(loss: Tensor, bound: Tensor, samples: WeightedSamples) -> dict[str, Tensor]:
    """The terms that every tighter bound reports, all without gradient except the loss.

    bound: the lower bound on log p(x) of each image, (..., B), where the leading dimensions number
    the groups of K samples; `effective_sample_size` is the mean over groups, from 1 to K.
    elbo: the mean log weight, the ELBO with the KL estimated by the same samples.
    """
    reconstruction = samples.reconstruction.detach().mean()
    kl = samples.kl.detach().mean()
    groups = samples.log_weights.detach().reshape(-1, *bound.shape)
    return {
        "loss": loss,
        "bound": bound.detach().mean(),
        "reconstruction": reconstruction,
        "kl": kl,
        "elbo": -(reconstruction + kl),
        "effective_sample_size": effective_sample_size(groups, 0).mean(),
    }
