"""A conditional VAE as a classifier by Bayes' rule, and a discriminative network beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from vaelab.bayes import log_posterior
from vaelab.errors import UserError, require, require_range
from vaelab.metrics.base import Score
from vaelab.metrics.classification import (
    calibration_error,
    classification_error,
    mean_log_posterior,
)
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.importance_weighted import class_log_likelihoods
from vaelab.metrics.per_image import ImagesMetric
from vaelab.seeding import random_stream

BATCH_SIZE = 100
LR = 1e-3
SCORES = {
    "error": classification_error,
    "log_prob": mean_log_posterior,
    "calibration_error": calibration_error,
}


@dataclass(frozen=True)
class ClassTables:
    """What the classifier found of the images in rows, for figures.

    Attributes:
        rows, labels: (N,).
        bounds: K -> L_K(x|y) (C, N) in nats.
        discriminative: log p(y|x) (C, N) of the discriminative network, or None.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    bounds: dict[int, Tensor]
    discriminative: NDArray[np.float64] | None


@dataclass(frozen=True, kw_only=True)
class BayesClassifier(ImagesMetric):
    """Test images classified by Bayes' rule from the bounds of each class.

        p(y|x) ~ p(y) exp L_K(x|y),    L_K(x|y) = log 1/K sum_k p(x|y, z_k) p(z_k|y) / q(z_k|x, y)

    with z_k ~ q(z|x, y). Each class is too low by a gap of its own, KL(q(z|x, y) || p(z|x, y)) at
    K = 1, and largest for wrong classes, which q has never seen with such images: the ELBO flatters
    the classifier, and K belongs beside its error. p(y) is that of the training labels.

    Scores: `bayes_error`, the share of images whose most probable class is another than theirs,
    `bayes_log_prob`, the mean log p(y|x) of their class in nats, and `bayes_calibration_error`,
    each for the largest K, with those of the other K as breakdown. Beside them
    `discriminative_error` and so on, of a network of the encoder's shape with one output per class,
    trained by Adam on the labels that training knew, and tested on the same images.

    Ng and Jordan 2002, "On discriminative vs. generative classifiers",
    https://papers.nips.cc/paper/2001/hash/7b7a53e239400a13bd6be6c91c4f6c4e-Abstract.html. Code that
    averages exp(log p(x|y, z) - KL) with the KL in closed form has neither a bound nor an estimate
    of p(x|y).

    Args:
        num_samples: K, or several.
        num_train_steps: of the discriminative network, in batches of 100 labelled images; 0 leaves
            it out.
        num_images: how many evaluation images; None for all. The first in seeded order.
    """

    name = "bayes_classifier"
    needs_density = True
    needs_classes = True
    higher_is_better = None

    num_samples: Sequence[int] = (1, 10, 100)
    num_train_steps: int = 5000
    num_images: int | None = 1000

    def __post_init__(self) -> None:
        require(
            len(self.num_samples) > 0,
            "num_samples expects numbers of samples, got an empty list; try [1, 10, 100].",
        )
        for number in self.num_samples:
            require_range("num_samples", number, at_least=1, integer=True, example=100)
        require_range(
            "num_train_steps", self.num_train_steps, at_least=0, integer=True, example=5000
        )

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        condition = encoded.model.condition
        if condition is None:
            raise UserError(
                "bayes_classifier expects a conditional model, got one of p(x); train one with "
                "condition=label."
            )
        rows = self.rows(encoded)
        y = encoded.classes(rows).cpu().numpy()
        log_prior = condition.log_prior.cpu().double()
        bounds = self._bounds(encoded, rows)
        tables = {k: log_posterior(bound, log_prior).numpy() for k, bound in bounds.items()}
        scores = {}
        for name, score in SCORES.items():
            values = {k: score(table, y) for k, table in tables.items()}
            last = values[max(values)]
            breakdown = {f"K={k}": one.value for k, one in sorted(values.items())}
            scores[f"bayes_{name}"] = Score(
                last.value, last.interval, breakdown, last.details
            ).with_details(split=encoded.split, num_samples=max(values))
        table = self._discriminative(encoded, rows) if self.num_train_steps else None
        encoded.results[ClassTables] = ClassTables(rows, y, bounds, table)
        if table is not None:
            for name, score in SCORES.items():
                scores[f"discriminative_{name}"] = score(table, y).with_details(
                    split=encoded.split, num_train_steps=self.num_train_steps
                )
        return scores

    def _bounds(self, encoded: EncodedDataset, rows: NDArray[np.int64]) -> dict[int, Tensor]:
        """L_K of every class of the images in rows: K -> (C, N) float64."""
        x = encoded.x(rows)
        return {
            k: class_log_likelihoods(encoded.model, x, k, self.seed).cpu() for k in self.num_samples
        }

    def _discriminative(
        self, encoded: EncodedDataset, rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """log p(y|x) of a network trained on the known labels, of the images in rows: (C, N)."""
        train, labelled = encoded.splits.train, encoded.splits.labelled
        assert train.labels is not None
        where = train.images.storage.device
        known = torch.arange(len(train), device=where) if labelled is None else labelled.to(where)
        labels = train.labels.to(where)
        with random_stream("metrics", self.name, "discriminative", self.seed), torch.enable_grad():
            network = encoded.model.new_classifier().to(encoded.device)
            optimizer = torch.optim.Adam(network.parameters(), LR)
            for _ in range(self.num_train_steps):
                batch = known[torch.randint(len(known), (BATCH_SIZE,)).to(where)]
                x, y = train.take(batch).to(encoded.device), labels[batch].to(encoded.device)
                optimizer.zero_grad()
                cross_entropy(network(x), y).backward()
                optimizer.step()
        with torch.no_grad():
            logits = [
                network(encoded.x(part)) for part in np.array_split(rows, len(rows) // 500 + 1)
            ]
        return torch.cat(logits).double().log_softmax(1).T.cpu().numpy()
