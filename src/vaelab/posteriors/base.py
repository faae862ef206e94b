"""What every posterior does."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.errors import UserError


class Posterior(nn.Module, ABC):
    """Raw encoder output (B, num_params) -> q(z|x) with event (L,); built from latent_dim.

    Raw output of 16 bits is computed with in float32.

    Attributes:
        num_params: how many numbers the encoder gives for an image.
        num_heads: how many layers of equal size these would be in a paper (2 for mean and log
            variance), for the initial weights.
        has_density: whether q(z|x) has a density, and so a KL.
    """

    num_params: int
    num_heads: int = 1
    has_density: bool = True

    def forward(self, raw: Tensor) -> Distribution:
        """q(z|x) from the encoder's output."""
        if raw.dtype in (torch.bfloat16, torch.float16):
            raw = raw.float()
        return self.distribution(raw)

    @abstractmethod
    def distribution(self, raw: Tensor) -> Distribution:
        """q(z|x) from raw (B, num_params)."""

    def require_density(self, who: str, instead: str = "use objective=autoencoder") -> None:
        """Refuse to be used by `who` where there is no density.

        instead: what else to do than change the posterior, as the end of a sentence.

        Raises:
            UserError: there is none.
        """
        if not self.has_density:
            raise UserError(
                f"{who} expects a posterior with a density, got {type(self).__name__}, whose KL is "
                f"infinite; train with posterior=gaussian, or {instead}."
            )
