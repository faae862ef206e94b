"""What every prior does."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn
from torch.distributions import Distribution

Encode = Callable[[Tensor], Distribution]


class Prior(nn.Module, ABC):
    """The module of p(z), a distribution over latents; built from latent_dim and image_shape.

        encode  ->  p(z), batch (), event (L,), on the module's device

    `encode`, x -> q(z|x), is for the priors that are mixtures of posteriors.

    Attributes:
        is_discrete: whether z is one of finitely many values.
    """

    is_discrete: bool = False

    @abstractmethod
    def forward(self, encode: Encode) -> Distribution: ...

    def check_posterior(self, q_z: Distribution) -> None:
        """Raise for a posterior that the prior cannot be made of.

        Raises:
            UserError: naming those that it can be made of.
        """
