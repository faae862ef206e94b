"""What every prior does."""

from abc import ABC, abstractmethod

from torch import nn
from torch.distributions import Distribution


class Prior(nn.Module, ABC):
    """() -> p(z) with event (L,), on the module's device; built from latent_dim."""

    @abstractmethod
    def forward(self) -> Distribution: ...
