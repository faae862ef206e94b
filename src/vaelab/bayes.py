"""Classification by Bayes' rule: p(y|x) from the density p(x|y) of each class; mixtures for it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.errors import require, require_range
from vaelab.mixtures import Mixture, em


def log_posterior(log_likelihood: Tensor, log_prior: Tensor) -> Tensor:
    """log p(y|x) of every class y by Bayes' rule.

        p(y|x) = p(x|y) p(y) / sum_y' p(x|y') p(y')

    The same of bounds in place of log p(x|y) is an estimate of log p(y|x), not a bound: each class
    is too low by a gap of its own. A class of log prior -inf has p(y|x) = 0.

    Args:
        log_likelihood: (C, N) log p(x|y), in nats.
        log_prior: (C,) log p(y); only differences matter.

    Returns:
        (C, N); exp sums to one over the classes.

    Raises:
        UserError: shapes that don't fit together.
    """
    require(
        log_likelihood.ndim == 2 and log_prior.shape == log_likelihood.shape[:1],
        "log_likelihood expects (C, N) beside log_prior (C,), got shapes "
        f"{tuple(log_likelihood.shape)} and {tuple(log_prior.shape)}; give one row per class.",
    )
    return (log_likelihood + log_prior[:, None]).log_softmax(0)


class GenerativeClassifier(ABC):
    """A joint density p(x, y) = p(y) p(x|y) of vectors x (D,) and classes y, as a classifier."""

    @property
    @abstractmethod
    def log_prior(self) -> Tensor:
        """log p(y): (C,)."""

    @abstractmethod
    def log_likelihood(self, x: Tensor) -> Tensor:
        """log p(x|y): (N, D) -> (C, N) in nats."""

    def log_posterior(self, x: Tensor) -> Tensor:
        """log p(y|x): (N, D) -> (C, N)."""
        return log_posterior(self.log_likelihood(x), self.log_prior)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) = log sum_y p(x, y): (N, D) -> (N,) in nats."""
        return (self.log_likelihood(x) + self.log_prior[:, None]).logsumexp(0)


@dataclass(frozen=True)
class ClassMixtures(GenerativeClassifier):
    """p(x|y) = sum_k p(k|y) p(x|k, y), a mixture of its own for each class.

    Naive Bayes, pixels that are independent given the class, is that of one component.

    Attributes:
        mixtures: C of them.
        prior: p(y) (C,).
    """

    mixtures: Sequence[Mixture]
    prior: Tensor

    @property
    def log_prior(self) -> Tensor:
        return self.prior.log()

    def log_likelihood(self, x: Tensor) -> Tensor:
        return torch.stack([mixture.log_prob(x) for mixture in self.mixtures])


@dataclass(frozen=True)
class CodebookClassifier(GenerativeClassifier):
    """p(x, y) = sum_k pi_k p(x|k) p(y|k): one mixture for all classes, its components labelled.

    Everything about classes is computed in float64: where p(y|k) is alike for all y, the next
    components decide, whose p(k|x) may be 1e-12.

    Attributes:
        mixture: pi_k and p(x|k), which may have been fitted without labels.
        class_probabilities: p(y|k) (K, C).
    """

    mixture: Mixture
    class_probabilities: Tensor

    @property
    def log_prior(self) -> Tensor:
        return (self.mixture.weights.double() @ self.class_probabilities.double()).log()

    def log_likelihood(self, x: Tensor) -> Tensor:
        log_joint = self.mixture.log_joint(x).double()
        given_x = log_joint.softmax(1) @ self.class_probabilities.double()  # p(y|x): (N, C)
        return given_x.log().T + log_joint.logsumexp(1) - self.log_prior[:, None]


def fit_class_mixtures(
    x: Tensor,
    y: Tensor,
    num_classes: int,
    num_components: int,
    *,
    smoothing: float = 1.0,
    num_iterations: int = 100,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> ClassMixtures:
    """Fit a mixture of Bernoulli products to the rows of each class by `mixtures.em`.

    p(y) are the shares of the classes among the rows.

    Args:
        x: (N, D) in [0, 1], of floating type.
        y: (N,) int64 from 0 to num_classes - 1.
        num_classes: C.
        num_components: per class; 1 for naive Bayes.
        smoothing, num_iterations, tolerance, seed: see `em`; smoothing 1 is Laplace's rule.

    Raises:
        UserError: labels out of range, a class with fewer rows than components, and as `em` does.
    """
    counts = _count_classes(x, y, num_classes)
    fewest = int(counts.argmin())
    require(
        num_components <= int(counts[fewest]),
        f"num_components expects at most {counts[fewest]}, the number of rows of class {fewest}, "
        f"got {num_components}; lower it, or label more rows.",
    )
    fits = [
        em(
            x[y == c],
            num_components,
            smoothing=smoothing,
            num_iterations=num_iterations,
            tolerance=tolerance,
            seed=seed,
        )
        for c in range(num_classes)
    ]
    return ClassMixtures([fit.mixture for fit in fits], counts.to(x.dtype) / len(x))


def fit_codebook_classifier(
    mixture: Mixture, x: Tensor, y: Tensor, num_classes: int, *, smoothing: float = 1.0
) -> CodebookClassifier:
    """Name the components of a mixture, fitted without labels, by a few rows with labels.

        p(y|k) = (sum_n p(k|x_n) 1[y_n = y] + s p(y)) / (sum_n p(k|x_n) + s)

    with p(y) the shares of the classes among the rows, and s the smoothing: a component that has
    none of the rows is of every class with its share.

    Args:
        mixture: of vectors of D.
        x: (N, D), labelled.
        y: (N,) int64 from 0 to num_classes - 1.
        num_classes: C.
        smoothing: s > 0, rows that each component has besides, divided among the classes.

    Raises:
        UserError: labels out of range, a class without rows, or no smoothing.
    """
    require_range("smoothing", smoothing, above=0, example=1)
    prior = _count_classes(x, y, num_classes).double() / len(x)
    q = mixture.responsibilities(x).double()
    counts = q.T @ torch.nn.functional.one_hot(y, num_classes).double() + smoothing * prior
    return CodebookClassifier(mixture, counts / counts.sum(1, keepdim=True))


def _count_classes(x: Tensor, y: Tensor, num_classes: int) -> Tensor:
    """The number of rows of each class: (C,)."""
    require(
        y.shape == x.shape[:1] and y.dtype == torch.int64,
        f"y expects one int64 per row of x, got {y.dtype} of shape {tuple(y.shape)} for "
        f"{tuple(x.shape)}; give labels (N,).",
    )
    require(
        bool(((y >= 0) & (y < num_classes)).all()),
        f"y expects classes from 0 to {num_classes - 1}, got {int(y.min())} to {int(y.max())}; "
        "number the classes from 0.",
    )
    counts = torch.bincount(y, minlength=num_classes)
    require(
        bool((counts > 0).all()),
        f"y expects rows of each of {num_classes} classes, got none of class "
        f"{int(counts.argmin())}; label some.",
    )
    return counts
