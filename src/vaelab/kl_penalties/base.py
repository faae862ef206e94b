"""What every kl_penalty does."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.elbo import ElboTerms


class KLPenalty(nn.Module, ABC):
    """(beta, terms, step) -> the cost of the KL, in nats per image, and what state, by name.

    The cost stands in the loss where the KL of the ELBO stands, a scalar. What state always has
    "beta", the cost of one more nat of KL, d cost / d KL.

    A kl_penalty is a function of the step, which counts the optimiser steps done before this one, or
    keeps what it has learned so far in buffers. Hence a resumed run continues where it was.
    """

    @abstractmethod
    def forward(
        self, beta: Tensor, terms: ElboTerms, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]: ...

    def check_distributions(self, q_z: Distribution, p_z: Distribution) -> None:
        """Refuse a posterior or prior that the cost has no formula for, by a UserError."""


class WeightedKL(KLPenalty):
    """A kl_penalty that multiplies the KL: cost = weight * E_x KL(q(z|x) || p(z))."""

    @abstractmethod
    def weight(self, beta: Tensor, terms: ElboTerms, step: int) -> Tensor:
        """The weight at a step, a scalar without gradient."""

    def forward(
        self, beta: Tensor, terms: ElboTerms, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight = self.weight(beta, terms, step)
        return weight * terms.kl.mean(), {"beta": weight}


class AnnealedKL(WeightedKL):
    """A kl_penalty that multiplies beta by a function of the step: weight = beta * factor(t)."""

    @abstractmethod
    def multiplier(self, step: int) -> float:
        """The factor on beta at a step, from 0 up."""

    def weight(self, beta: Tensor, terms: ElboTerms, step: int) -> Tensor:
        return beta * self.multiplier(step)
