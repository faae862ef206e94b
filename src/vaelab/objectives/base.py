"""What every objective does."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from vaelab.errors import require
from vaelab.kl_penalties import KLPenalty
from vaelab.models.vae import VAE


class Objective(nn.Module, ABC):
    """(model, x, step) -> terms: "loss", what is minimised, and what it is made of.

    Every term is a cost in nats per image, averaged over the batch exactly once; settings that move
    (beta) are terms too. The objective owns the whole computation, from x to the loss.

    On several processes each has its rows of the batch. A mean over images needs no care, since
    gradients are averaged. What depends on the batch otherwise (a covariance, a maximum, the
    absolute value of a mean) is computed over the batch of all processes: `all_gather_batch`.
    """

    @abstractmethod
    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]: ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the objective itself learns, as groups of an optimiser, each with its settings."""
        parameters = [p for p in self.parameters() if p.requires_grad]
        return [{"params": parameters}] if parameters else []

    def check_model(self, model: VAE) -> None:
        """Refuse a model that this objective can't train.

        Raises:
            UserError: the objective needs a density q(z|x), and the posterior has none; or its
                kl_penalty needs another posterior or prior.
        """
        model.posterior.require_density(f"objective {type(self).__name__}")
        for kl_penalty in self.modules():
            if isinstance(kl_penalty, KLPenalty):
                kl_penalty.check_distributions(*model.distributions())


def require_fixed_prior(model: VAE, who: str) -> None:
    """Refuse a prior that learns where nothing would teach it.

    Raises:
        UserError: the prior has parameters.
    """
    require(
        not any(parameter.requires_grad for parameter in model.latent_prior.parameters()),
        f"{who} expects a fixed prior, since its loss has none to learn, got "
        f"{type(model.latent_prior).__name__}; use prior=standard_normal.",
    )


def require_samples(name: str, num: int) -> None:
    """Refuse a number of samples that is no positive integer.

    Raises:
        UserError: naming the setting.
    """
    require(
        isinstance(num, int) and num >= 1,
        f"objective.{name} expects a number of samples from 1 up, got {num}; try 5.",
    )
