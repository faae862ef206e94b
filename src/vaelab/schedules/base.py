"""What every schedule does."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.elbo import ElboTerms


class Schedule(nn.Module, ABC):
    """(beta, terms, step) -> the cost of the KL, in nats per image, and what moved, by name.

    The cost stands in the loss where the KL of the ELBO stands, a scalar. What moved always has
    "beta", the cost of one more nat of KL, d cost / d KL.

    A schedule is a function of the step, which counts the optimiser steps done before this one, or
    keeps what it has learned so far in buffers. Hence a resumed run continues where it was.
    """

    @abstractmethod
    def forward(
        self, beta: Tensor, terms: ElboTerms, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]: ...

    def check_distributions(self, q_z: Distribution, p_z: Distribution) -> None:
        """Refuse a posterior or prior that the cost has no formula for, by a UserError."""


class Weight(Schedule):
    """A schedule that multiplies the KL: cost = weight * E_x KL(q(z|x) || p(z))."""

    @abstractmethod
    def weight(self, beta: Tensor, terms: ElboTerms, step: int) -> Tensor:
        """The weight at a step, a scalar without gradient."""

    def forward(
        self, beta: Tensor, terms: ElboTerms, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight = self.weight(beta, terms, step)
        return weight * terms.kl.mean(), {"beta": weight}


class Factor(Weight):
    """A schedule that multiplies beta by a function of the step: weight = beta * factor(t)."""

    @abstractmethod
    def factor(self, step: int) -> float:
        """The factor on beta at a step, from 0 up."""

    def weight(self, beta: Tensor, terms: ElboTerms, step: int) -> Tensor:
        return beta * self.factor(step)
