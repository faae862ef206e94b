"""Importance weights with gradients, which the tighter bounds share."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.distributions import effective_sample_size
from vaelab.errors import require
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective


class ImportanceWeightedObjective(Objective):
    """An objective that weights the samples of each image by their importance weights."""

    def check_model(self, model: VAE) -> None:
        """Check that this objective can train the model.

        Raises:
            UserError: also where the likelihood fits a parameter to the unweighted batch.
        """
        super().check_model(model)
        require(
            not model.likelihood.fits_batch,
            f"{type(self).__name__} expects a likelihood whose parameters are learned or fixed, "
            f"got {type(model.likelihood).__name__}, whose sigma is the optimum of an unweighted "
            "average and not of this loss; use the likelihood GaussianLearned.",
        )


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
    z = q_z.rsample(torch.Size([num_samples]))
    return weigh(model, x, z, q_z.log_prob(z))


def weigh(model: VAE, x: Tensor, z: Tensor, log_q: Tensor) -> WeightedSamples:
    """The terms of given samples z (K, B, L), with log_q = log q(z_k|x) (K, B)."""
    kl = log_q - model.prior().log_prob(z)
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
