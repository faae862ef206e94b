"""What every KL penalty does."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.elbo import ElboTerms


class KLPenalty(nn.Module, ABC):
    """penalty(KL), the term that stands where beta * KL stands in the beta-VAE loss, and its state.

        (beta, terms, step) -> penalty, state

    penalty: a scalar, in nats per image. state: scalars without gradient, logged under these
    names; state["beta"] is the effective beta, d penalty / d KL.

    step is the number of optimiser steps done before this one. A KL penalty is a function of it, or
    keeps what it has learned in buffers; so a resumed run continues where it was.
    """

    @abstractmethod
    def forward(
        self, beta: Tensor, terms: ElboTerms, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]: ...

    def check_distributions(self, q_z: Distribution, p_z: Distribution) -> None:
        """Raise for a posterior or prior that the penalty is not defined for.

        Raises:
            UserError: naming those that it is defined for.
        """


class WeightedKL(KLPenalty):
    """A penalty proportional to the KL: penalty = weight * E_x KL(q(z|x) || p(z))."""

    @abstractmethod
    def weight(self, beta: Tensor, terms: ElboTerms, step: int) -> Tensor:
        """The weight at a step, a scalar without gradient."""

    def forward(
        self, beta: Tensor, terms: ElboTerms, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight = self.weight(beta, terms, step)
        return weight * terms.kl.mean(), {"beta": weight}


class AnnealedKL(WeightedKL):
    """KL annealing, beta times a function of the step alone: weight = beta * multiplier(step)."""

    @abstractmethod
    def multiplier(self, step: int) -> float:
        """The multiplier of beta at a step, at least 0."""

    def weight(self, beta: Tensor, terms: ElboTerms, step: int) -> Tensor:
        return beta * self.multiplier(step)
