"""Generative models as classifiers by Bayes' rule, beside a discriminative one (S2a to S2d).

Each function is a target's `measure` or its `figures`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from vaelab import build, figures
from vaelab.bayes import ClassMixtures, fit_class_mixtures, fit_codebook_classifier
from vaelab.data.images import Subset
from vaelab.data.labels import choose_labelled
from vaelab.load import load_run
from vaelab.metrics import BayesClassifier
from vaelab.metrics.bayes_classifier import ClassTables
from vaelab.metrics.classification import (
    calibration_error,
    classification_error,
    fit_logistic_regression,
    mean_log_posterior,
    reliability,
)
from vaelab.metrics.intervals import mean_interval
from vaelab.mixtures import Mixture, em
from vaelab.reproduction.verdict import Measurement

if TYPE_CHECKING:
    from vaelab.figures import Figure

METHODS = ("naive Bayes", "logistic", "mixture")
NUM_DOUBTFUL = 16
# Two classes on a line, whose joint densities are drawn: p(y), means and standard deviation.
PRIOR, MEANS, STD = (0.6, 0.4), (-1.0, 1.2), 1.0


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


def bayes_errors(
    path: Path, num_samples: Sequence[int], num_train_steps: int, num_images: int | None
) -> dict[str, Measurement]:
    """Scores of the run in `path` as a classifier, see `vaelab.metrics.BayesClassifier`.

    "bayes_error" and the like, "bayes_error/K=1" for each K, without interval, and "own_bound/K=1",
    the mean of L_K(x|y) of the images' own classes in nats.

    Args:
        path: of a run of a conditional model.
        num_samples, num_train_steps, num_images: of the metric.
    """
    encoded = load_run(path).encoded_dataset()
    metric = BayesClassifier(
        num_samples=num_samples, num_train_steps=num_train_steps, num_images=num_images
    )
    scores = metric(encoded)
    tables = encoded.results[ClassTables]
    numbers = {name: Measurement(score.value, score.interval) for name, score in scores.items()}
    for name, score in scores.items():
        numbers |= {f"{name}/{k}": Measurement(value) for k, value in score.breakdown.items()}
    for k, table in tables.bounds.items():
        own = table[tables.labels, torch.arange(len(tables.labels))].numpy()
        numbers[f"own_bound/K={k}"] = Measurement(float(own.mean()), mean_interval(own))
    return numbers


def draw_class_mixtures(
    cfg: DictConfig, numbers: Mapping[str, Measurement], num_components: Sequence[int]
) -> "dict[str, Figure]":
    """Reliability of the classifiers of `class_mixtures`, and what the last of them doubts.

    The most doubtful image is the one whose largest p(y|x) is smallest.
    """
    train, test, num_classes = _load(cfg)
    names = [str(c) for c in range(num_classes)]
    bins = {}
    for k in num_components:
        fit = fit_class_mixtures(*train, num_classes, k, seed=cfg.seed)
        log_p = fit.log_posterior(test.x)
        bins["naive Bayes" if k == 1 else f"{k} components"] = reliability(
            log_p, test.y, num_bins=10, equal_width=True
        )
    doubtful = log_p.amax(0).argsort()[:NUM_DOUBTFUL]
    images, labels = test.x[doubtful].view(-1, *_image_shape(cfg)), test.y[doubtful].tolist()
    error = 100 * numbers[f"{k}/error"].value
    return {
        "reliability": figures.plot_reliability(
            bins,
            "Mixtures of Bernoulli products as classifiers of the test images by Bayes' rule: the "
            "share of right decisions among images of about the same confidence, with 95 % "
            "intervals. Below the diagonal is overconfidence.",
        ),
        "doubtful": figures.plot_doubtful_images(
            images,
            log_p[:, doubtful].T.exp(),
            labels,
            names,
            "The test images whose largest p(y|x) is smallest, by a mixture of "
            f"{k} components for each class (test error {error:.1f} %). The bars are p(y|x), the "
            f"highest {float(log_p[:, doubtful].max().exp()):.2f}; that of the image's own class "
            "is blue.",
        ),
        "log_likelihoods": figures.plot_class_log_likelihoods(
            images[0],
            {"exact": fit.log_likelihood(images[:1].flatten(1))[:, 0]},
            names,
            labels[0],
            f"The most doubtful of them: log p(x|y) by the mixture of each class, {k} components "
            "each. By Bayes' rule with equal p(y), a difference of one nat is a ratio of 2.7 of "
            "p(y|x). The image's own class is in bold.",
        ),
    }


def draw_errors_by_labels(
    cfg: DictConfig, numbers: Mapping[str, Measurement], num_labels: Sequence[int]
) -> "dict[str, Figure]":
    """The errors of `errors_by_labels`, and the decision of Bayes' rule between two normals."""
    lines = []
    for name in METHODS:
        every = [numbers[f"{name}/error at {num}"] for num in num_labels]
        ends = np.array([one.interval or (one.value, one.value) for one in every])
        centre = np.array([one.value for one in every])
        lines.append(figures.Line(name, np.array(num_labels, float), centre, *ends.T))
    return {
        "errors": figures.plot_error_by_labels(
            lines,
            f"Test error by the number of labelled images, means of {every[0].num_runs} choices of "
            "them with 95 % intervals. Naive Bayes and logistic regression see the labelled images "
            "only; the mixture is fitted to all training images without labels, and its "
            "components get their classes from the labelled ones.",
        ),
        "joint_densities": _draw_two_normals(),
    }


def _draw_two_normals() -> "Figure":
    one, variance = torch.ones(1), torch.full((1, 1), STD**2)
    mixtures = [Mixture(one, torch.full((1, 1), mean), variance) for mean in MEANS]
    model = ClassMixtures(mixtures, torch.tensor(PRIOR))
    x = torch.linspace(-5, 5, 1001)
    joint = (model.log_likelihood(x[:, None]) + model.log_prior[:, None]).exp()
    error = float(torch.trapezoid(joint.amin(0), x))
    return figures.plot_joint_densities(
        x,
        {f"class {c}": row for c, row in enumerate(joint)},
        "Joint densities p(x, y) = p(y) p(x|y) of two classes. The class of larger joint density "
        "is decided; hatched is what is decided wrongly on either side of the boundary, in all "
        f"{100 * error:.1f} %, the least that any rule can have.",
    )


def _load(cfg: DictConfig) -> tuple[Labelled, Labelled, int]:
    """Training and test images, and the number of classes."""
    splits = build.build_data(cfg).splits
    train, test = (_take(subset) for subset in (splits.train, splits.test or splits.val))
    return train, test, int(train.y.max()) + 1


def _image_shape(cfg: DictConfig) -> tuple[int, int, int]:
    return build.build_data(cfg).image_shape


def _take(subset: Subset) -> Labelled:
    assert subset.labels is not None
    return Labelled(subset.take(torch.arange(len(subset))).flatten(1), subset.labels)
