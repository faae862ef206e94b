"""What every prior does."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn
from torch.distributions import Distribution

Encode = Callable[[Tensor], Distribution]


class Prior(nn.Module, ABC):
    """encode -> p(z) with event (L,), on the module's device.

    Built from latent_dim and image_shape, (C, H, W). `encode`, x -> q(z|x), is for those priors
    that are made of posteriors.
    """

    @abstractmethod
    def forward(self, encode: Encode) -> Distribution: ...

    def check_posterior(self, q_z: Distribution) -> None:
        """Refuse a kind of posterior that this prior can't be made of.

        Raises:
            UserError: naming those that it can.
        """
