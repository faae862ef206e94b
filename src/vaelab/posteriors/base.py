"""What every posterior does."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution


class Posterior(nn.Module, ABC):
    """Raw encoder output (B, L * params_per_latent) -> q(z|x) with event (L,).

    The parameters come head by head: (B, params_per_latent, L). Raw output of 16 bits is computed
    with in float32.
    """

    params_per_latent: int

    def forward(self, raw: Tensor) -> Distribution:
        """q(z|x) from the encoder's output."""
        if raw.dtype in (torch.bfloat16, torch.float16):
            raw = raw.float()
        return self.distribution(raw.unflatten(-1, (self.params_per_latent, -1)))

    @abstractmethod
    def distribution(self, raw: Tensor) -> Distribution:
        """q(z|x) from raw (B, params_per_latent, L)."""
