"""What every objective does."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from vaelab.models.vae import VAE


class Objective(nn.Module, ABC):
    """(model, x, step) -> terms: "loss", what is minimised, and what it is made of.

    Every term is a cost in nats per image, averaged over the batch exactly once; settings that move
    (beta) are terms too. The objective owns the whole computation, from x to the loss.

    On several processes each has its rows of the batch. A mean over images needs no care, since
    gradients are averaged. What depends on the batch otherwise (a covariance, a maximum, the
    absolute value of a mean) is computed over the batch of all processes: `whole_batch`.
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
            UserError: the objective needs a density q(z|x), and the posterior has none.
        """
        model.posterior.require_density(f"objective {type(self).__name__}")
