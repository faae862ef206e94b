"""What every prior does."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.errors import require

Encode = Callable[[Tensor], Distribution]


class Prior(nn.Module, ABC):
    """The module of p(z), a distribution over latents; built from latent_dim and image_shape.

        encode  ->  p(z), batch (), event (L,), on the module's device

    `encode`, x -> q(z|x), is for the priors that are mixtures of posteriors.

    Attributes:
        is_discrete: whether z is one of finitely many values.
        is_conditional: whether it is a p(z|y), called with vectors (*lead, B or 1, dim) of the
            classes as well and then of batch shape (*lead, B or 1).
        is_of_posteriors: whether it is made of the posteriors of images, which have no class.
    """

    is_discrete: bool = False
    is_conditional: bool = False
    is_of_posteriors: bool = False

    @abstractmethod
    def forward(self, encode: Encode) -> Distribution: ...

    def check_posterior(self, q_z: Distribution) -> None:
        """Raise for a posterior that the prior cannot be made of.

        Raises:
            UserError: naming those that it can be made of.
        """

    def require_kind(self, posterior: nn.Module) -> None:
        """Require that z is discrete, or continuous, for the prior as for the posterior.

        Raises:
            UserError: it is not.
        """
        discrete = bool(getattr(posterior, "is_discrete", False))
        names = {True: "discrete", False: "continuous"}
        require(
            self.is_discrete == discrete,
            f"the posterior {type(posterior).__name__} expects a {names[discrete]} prior, got "
            f"{type(self).__name__}, which is {names[self.is_discrete]}; use another posterior, or "
            f"the prior {'Categorical' if discrete else 'StandardNormal'}.",
        )

    def condition_on(self, dim: int, in_encoder: bool) -> None:
        """Prepare for the vectors of length `dim` of the classes, 0 of an unconditional model.

        Args:
            dim: length of the vectors.
            in_encoder: whether q(z|x, y) depends on the class.

        Raises:
            UserError: the prior needs classes and there are none, or has no place for them.
        """
        name = type(self).__name__
        require(
            dim > 0 or not self.is_conditional,
            f"{name} expects a conditional model, got one without classes; use a condition, or the "
            "prior StandardNormal.",
        )
        require(
            not (self.is_of_posteriors and in_encoder),
            f"{name} expects a posterior q(z|x), of images without a class, got one that depends "
            "on the class; set encoder=false of the condition, or use the prior "
            "ConditionalNormal.",
        )
