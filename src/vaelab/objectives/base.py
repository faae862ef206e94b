"""The contract of an objective, and checks of the model that several objectives share."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from vaelab.distributions import is_diagonal_normal
from vaelab.errors import require
from vaelab.kl_penalties import KLPenalty
from vaelab.models.vae import VAE


class Objective(nn.Module, ABC):
    """(model, x, step) -> terms by name: "loss", the scalar to minimise, and what it is made of.

    The objective owns the whole computation, from x to the loss. Terms are in nats per image and
    averaged over the batch exactly once; settings that change during training (beta) are terms too.
    `step` counts the optimiser steps taken so far.

    On several processes each has its rows of the batch. A mean over images needs no care, since
    gradients are averaged. Any other function of the batch (a covariance, a maximum, the absolute
    value of a mean) is computed over the batch of all processes: `all_gather_batch`.

    Attributes:
        is_pathwise: whether the encoder learns through samples of z, which have to be
            reparameterised.
        needs_labels: whether it is called with the classes y (B,) as well, -1 where unknown, and
            a conditional model. Any other objective gets `model.given(y)` of a conditional model,
            and need not know of it.
        uses_unlabelled: whether it learns from images without a class, too.
        trains_classifier: whether it trains q(y|x).
    """

    is_pathwise: bool = True
    needs_labels: bool = False
    uses_unlabelled: bool = False
    trains_classifier: bool = False

    @abstractmethod
    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]: ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The objective's own parameters, as groups of an optimiser, each with its settings."""
        parameters = [p for p in self.parameters() if p.requires_grad]
        return [{"params": parameters}] if parameters else []

    def check_model(self, model: VAE) -> None:
        """Check that this objective can train the model.

        Raises:
            UserError: the objective needs a density q(z|x) and the posterior has none, or samples
                that are reparameterised and z is discrete, or its KL penalty needs another
                posterior or prior.
        """
        name = type(self).__name__
        model.posterior.require_density(name)
        require(
            not (self.is_pathwise and model.posterior.is_discrete),
            f"{name} expects a posterior whose samples are reparameterised, got "
            f"{type(model.posterior).__name__}, which is discrete; use the objective Enumerated, "
            "or the posterior Gaussian.",
        )
        require(
            not self.needs_labels or model.condition is not None,
            f"{name} expects a conditional model, got one without classes; use a condition.",
        )
        require(
            (model.classifier is not None) == self.trains_classifier,
            f"{name} expects a model {'with' if self.trains_classifier else 'without'} a "
            f"classifier q(y|x), got one {'with' if model.classifier else 'without'}; set "
            f"classifier={str(self.trains_classifier).lower()} of the condition.",
        )
        for module in self.modules():
            if isinstance(module, KLPenalty):
                module.check_distributions(*model.distributions())


def require_fixed_prior(objective: Objective, model: VAE) -> None:
    """Reject a prior with parameters, for an objective whose loss does not depend on the prior.

    Raises:
        UserError: the prior has parameters to learn.
    """
    require(
        not any(parameter.requires_grad for parameter in model.latent_prior.parameters()),
        f"{type(objective).__name__} expects a fixed prior, since its loss gives a prior no "
        f"gradient, got {type(model.latent_prior).__name__}; use StandardNormal.",
    )


def require_diagonal_normal(objective: Objective, model: VAE) -> None:
    """Reject a posterior that is not a normal with independent latents.

    Raises:
        UserError: q(z|x) has another distribution.
    """
    q_z, _ = model.distributions()
    require(
        is_diagonal_normal(q_z),
        f"{type(objective).__name__} expects a diagonal normal q(z|x), got the posterior "
        f"{type(model.posterior).__name__}; use the posterior Gaussian.",
    )
