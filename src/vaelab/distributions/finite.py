"""Distributions of finitely many values, and a point that stands for a distribution."""

from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical

from vaelab.errors import UserError, require

MAX_STATES = 4096  # of a discrete z that are enumerated


def one_hot(logits: Tensor) -> OneHotCategorical:
    """The distribution over K one-hot vectors with these unnormalised log probabilities (*, K)."""
    return OneHotCategorical(logits=logits, validate_args=False)


def is_discrete(distribution: Distribution) -> bool:
    """Whether its values are discrete, and so can't be reparameterised."""
    support = distribution.support
    return support is not None and support.is_discrete


def states(distribution: Distribution) -> Tensor:
    """All values of a discrete distribution of batch (): (S, L).

    Raises:
        UserError: its values are not discrete, or more than 4,096.
    """
    if not distribution.has_enumerate_support:
        raise UserError(
            "enumeration expects a discrete prior of few values, got "
            f"{type(distribution).__name__}; use the prior Categorical."
        )
    num = distribution.event_shape.numel()
    require(
        num <= MAX_STATES,
        f"enumeration expects at most {MAX_STATES:,} values of z, got {num:,}; lower latent_dim, "
        "or estimate with samples: the objective ReweightedWakeSleep.",
    )
    return distribution.enumerate_support(expand=False).reshape(-1, num)


def point_of(distribution: Distribution) -> Tensor:
    """What stands for z where one value is needed: the mean, or of discrete values the mode."""
    return distribution.mode if is_discrete(distribution) else distribution.mean
