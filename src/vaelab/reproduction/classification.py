"""Generative models as classifiers by Bayes' rule, beside a discriminative one (S2a and S2b).

Each function is a target's `measure` or its `figures`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from vaelab import build
from vaelab.bayes import fit_class_mixtures, fit_codebook_classifier
from vaelab.data.images import Subset
from vaelab.data.labels import choose_labelled
from vaelab.metrics.classification import (
    calibration_error,
    classification_error,
    fit_logistic_regression,
    mean_log_posterior,
)
from vaelab.metrics.intervals import mean_interval
from vaelab.mixtures import em
from vaelab.reproduction.verdict import Measurement

METHODS = ("naive Bayes", "logistic", "mixture")


class Labelled(NamedTuple):
    """Images (N, D) with their classes (N,)."""

    x: Tensor
    y: Tensor

    def choose(self, num: int, seed: int, num_classes: int) -> "Labelled":
        """As many of them, equally many per class; see `choose_labelled`."""
        rows = choose_labelled(self.y, num, seed, num_classes)
        return Labelled(self.x[rows], self.y[rows])


def class_mixtures(cfg: DictConfig, num_components: Sequence[int]) -> dict[str, Measurement]:
    """Classifiers by a mixture of Bernoulli products for each class, on the test images.

    "<K>/error" and "<K>/calibration_error" are shares, "<K>/log_p" is mean log p(x) and
    "<K>/log_posterior" mean log p(y|x) of the images' classes, in nats.

    Args:
        cfg: of the data, binarised once.
        num_components: numbers of components per class, K; 1 is naive Bayes.
    """
    train, test, num_classes = _load(cfg)
    numbers = {}
    for k in num_components:
        fit = fit_class_mixtures(*train, num_classes, k, seed=cfg.seed)
        log_p, log_prob = fit.log_posterior(test.x), fit.log_prob(test.x).double().numpy()
        scores = {
            "error": classification_error(log_p, test.y),
            "log_posterior": mean_log_posterior(log_p, test.y),
            "calibration_error": calibration_error(log_p, test.y, seed=cfg.seed),
        }
        numbers[f"{k}/log_p"] = Measurement(float(log_prob.mean()), mean_interval(log_prob))
        for name, score in scores.items():
            numbers[f"{k}/{name}"] = Measurement(score.value, score.interval)
    return numbers


def errors_by_labels(
    cfg: DictConfig,
    num_labels: Sequence[int],
    num_seeds: int,
    num_components: int,
    penalty: float,
    deciding_seeds: int,
) -> dict[str, Measurement]:
    """Test errors of three classifiers by the number of labelled images.

    "naive Bayes" and "logistic" regression see labelled images only; "mixture" is fitted to all
    training images without their labels, and its components get their classes from the labelled
    ones. "<method>/error at <num>" is the mean over label seeds, with an interval over these;
    "mixture below logistic at <num>" is in how many of the first `deciding_seeds` that is so, and
    "... of all seeds" in how many of all.

    Args:
        cfg: of the data, binarised once.
        num_labels: numbers of labelled images, equally many per class.
        num_seeds: choices of these images, by the seeds 0, 1, ...
        num_components: of the mixture.
        penalty: of logistic regression, see `fit_logistic_regression`.
        deciding_seeds: on how many of the seeds the order of mixture and logistic is counted.
    """
    train, test, num_classes = _load(cfg)
    mixture = em(train.x, num_components, seed=cfg.seed).mixture
    numbers: dict[str, Measurement] = {}
    for num in num_labels:
        errors: dict[str, dict[str, float]] = {name: {} for name in METHODS}
        for seed in range(num_seeds):
            few = train.choose(num, seed, num_classes)
            learned = (
                fit_class_mixtures(*few, num_classes, 1).log_posterior,
                fit_logistic_regression(*few, penalty=penalty),
                fit_codebook_classifier(mixture, *few, num_classes).log_posterior,
            )
            for name, log_posterior in zip(METHODS, learned, strict=True):
                error = classification_error(log_posterior(test.x), test.y)
                errors[name][f"labels.seed={seed}"] = error.value
        for name, by_seed in errors.items():
            values = np.array(list(by_seed.values()))
            interval = mean_interval(values, bounds=(0.0, 1.0))
            numbers[f"{name}/error at {num}"] = Measurement(values.mean(), interval, by_seed)
        pairs = zip(errors["mixture"].values(), errors["logistic"].values(), strict=True)
        below = [ours < theirs for ours, theirs in pairs]
        order = f"mixture below logistic at {num}"
        numbers[order] = Measurement(float(sum(below[:deciding_seeds])))
        numbers[f"{order}, of all seeds"] = Measurement(float(sum(below)))
    return numbers


def _load(cfg: DictConfig) -> tuple[Labelled, Labelled, int]:
    """Training and test images, and the number of classes."""
    splits = build.build_data(cfg).splits
    train, test = (_take(subset) for subset in (splits.train, splits.test or splits.val))
    return train, test, int(train.y.max()) + 1


def _take(subset: Subset) -> Labelled:
    assert subset.labels is not None
    return Labelled(subset.take(torch.arange(len(subset))).flatten(1), subset.labels)
