"""What every objective does."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from vaelab.models.vae import VAE


class Objective(nn.Module, ABC):
    """(model, x, step) -> terms: "loss", what is minimised, and what it is made of.

    Every term is a cost in nats per image, averaged over the batch exactly once; settings that move
    (beta) are terms too. The objective owns the whole computation, from x to the loss.
    """

    @abstractmethod
    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]: ...
