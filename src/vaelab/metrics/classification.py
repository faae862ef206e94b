"""Scores of a classifier from its log p(y|x), and the discriminative one to compare with."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vaelab.errors import require, require_range
from vaelab.metrics.base import Floats, Score, metric_rng
from vaelab.metrics.intervals import bootstrap_interval, mean_interval, proportion_interval

NUM_BINS = 15  # as in Guo et al.


class Reliability(NamedTuple):
    """Images in bins of their largest p(y|x), each (B,).

    Attributes:
        confidence: mean of max_y p(y|x).
        accuracy: share whose most probable class is theirs.
        num_images: in the bin.
        interval: (2, B), 95 % of the accuracy, by Wilson.
    """

    confidence: Floats
    accuracy: Floats
    num_images: NDArray[np.int64]
    interval: Floats


def classification_error(log_p: ArrayLike, y: ArrayLike) -> Score:
    """The share of images whose most probable class is another than theirs, with Wilson's interval.

    Args:
        log_p: (C, N) log p(y|x).
        y: (N,) integers from 0 to C - 1.

    Raises:
        UserError: shapes or labels that don't fit, or NaN.
    """
    table, labels = _require_table(log_p, y)
    wrong = int((table.argmax(0) != labels).sum())
    interval = proportion_interval(wrong, len(labels))
    return Score(wrong / len(labels), interval, details={"num_images": len(labels)})


def mean_log_posterior(log_p: ArrayLike, y: ArrayLike) -> Score:
    """Mean log p(y|x) of the images' own classes, in nats; 0 at best, -log C by guessing.

    Args:
        log_p: (C, N) log p(y|x).
        y: (N,) integers from 0 to C - 1.

    Raises:
        UserError: shapes or labels that don't fit, NaN, or an own class of probability 0.
    """
    table, labels = _require_table(log_p, y)
    own = table[labels, np.arange(len(labels))]
    require(
        bool(np.isfinite(own).all()),
        f"log_p expects a probability above 0 of each image's class, got 0 for "
        f"{int((~np.isfinite(own)).sum())} images; smooth the classifier.",
    )
    interval = mean_interval(own, bounds=(-np.inf, 0.0))
    return Score(float(own.mean()), interval, details={"num_images": len(labels)})


def calibration_error(
    log_p: ArrayLike,
    y: ArrayLike,
    *,
    num_bins: int = NUM_BINS,
    num_bootstrap: int = 200,
    seed: int = 0,
) -> Score:
    """Expected calibration error: how far confidence is from accuracy, over bins of confidence.

        ECE = sum_b n_b / N |accuracy_b - confidence_b|,    confidence = max_y p(y|x)

    Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3,
    https://arxiv.org/abs/1706.04599 (equation number not checked). There the bins are equally wide;
    here they have about equally many images, see `reliability`. The estimate is too high where the
    classifier is well calibrated: at a true ECE of 0 its expectation is about
    sum_b n_b / N sqrt(2 a_b (1 - a_b) / (pi n_b)) with accuracies a_b, the detail `noise_floor`;
    within a bin, differences of opposite sign cancel, which makes it too low.

    Args:
        log_p: (C, N) log p(y|x).
        y: (N,) integers from 0 to C - 1.
        num_bins: B at most.
        num_bootstrap: resamples of the images behind the interval; 0 for none.
        seed: of the resamples.

    Raises:
        UserError: shapes or labels that don't fit, NaN, or no bins.
    """
    confidence, right = _confidence(log_p, y)
    require_range("num_bins", num_bins, at_least=1, integer=True, example=NUM_BINS)
    rng, num = metric_rng("calibration_error", seed), len(right)
    draws = []
    for _ in range(num_bootstrap):
        rows = rng.integers(num, size=num)
        draws.append(_ece(*_bin(confidence[rows], right[rows], num_bins)))
    _, accuracy, counts = bins = _bin(confidence, right, num_bins)
    value = _ece(*bins)
    spread = np.sqrt(2 * accuracy * (1 - accuracy) / (np.pi * counts))
    return Score(
        value,
        bootstrap_interval(value, np.array(draws), bounds=(0.0, 1.0)),
        details={
            "num_images": num,
            "num_bins": len(counts),
            "noise_floor": float((counts * spread).sum() / num),
            "confidence": float(confidence.mean()),
        },
    )


def reliability(
    log_p: ArrayLike, y: ArrayLike, *, num_bins: int = NUM_BINS, equal_width: bool = False
) -> Reliability:
    """Images in bins of confidence max_y p(y|x), about equally many in each.

    The bins end at quantiles. Images of equal confidence are in one bin, so that there are fewer
    bins where many are certain. Empty bins are left out.

    Args:
        log_p: (C, N) log p(y|x).
        y: (N,) integers from 0 to C - 1.
        num_bins: B at most.
        equal_width: divide [0, 1] equally instead, as the figures of Guo et al. do.

    Raises:
        UserError: shapes or labels that don't fit, NaN, or no bins.
    """
    require_range("num_bins", num_bins, at_least=1, integer=True, example=NUM_BINS)
    confidence, accuracy, num = _bin(*_confidence(log_p, y), num_bins, equal_width)
    right = np.rint(accuracy * num).astype(int).tolist()
    ends = [proportion_interval(k, n) for k, n in zip(right, num.tolist(), strict=True)]
    return Reliability(confidence, accuracy, num, np.array(ends).T)


def fit_logistic_regression(
    x: Tensor, y: Tensor, *, penalty: float = 0.01, num_iterations: int = 1000
) -> Callable[[Tensor], Tensor]:
    """Fit p(y|x) = softmax_y(W x + b), and return x (N, D) -> log p(y|x) (C, N).

        minimise 1/N sum_n -log p(y_n|x_n) + penalty / 2 ||W||^2

    By scikit-learn (whose C is 1 / (penalty N)), with L-BFGS.

    Args:
        x: (N, D).
        y: (N,) int64 that has each class from 0 to C - 1.
        penalty: at least 0 and 0 excluded, since separable rows have no other optimum.
        num_iterations: of L-BFGS at most.

    Raises:
        UserError: a penalty out of range, or labels that leave out a class.
    """
    from sklearn.linear_model import LogisticRegression

    require_range("penalty", penalty, above=0, example=0.01)
    classes = torch.unique(y)
    require(
        len(classes) > 1 and classes.tolist() == list(range(len(classes))),
        f"y expects rows of each class from 0, and of at least 2, got {classes.tolist()}; label "
        "some of the others.",
    )
    learner = LogisticRegression(C=1 / (penalty * len(x)), max_iter=num_iterations)
    learner.fit(x.cpu().double().numpy(), y.cpu().numpy())

    def log_posterior(images: Tensor) -> Tensor:
        return torch.from_numpy(learner.predict_log_proba(images.cpu().double().numpy()).T)

    return log_posterior


def _require_table(log_p: ArrayLike, y: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    table, labels = np.asarray(log_p, np.float64), np.asarray(y)
    require(
        table.ndim == 2 and labels.shape == table.shape[1:] and len(labels) > 0,
        f"log_p expects (C, N) beside labels y (N,), got {table.shape} and {labels.shape}; give "
        "one row per class.",
    )
    require(
        np.issubdtype(labels.dtype, np.integer)
        and bool(((labels >= 0) & (labels < len(table))).all()),
        f"y expects integers from 0 to {len(table) - 1}, got {labels.min()} to {labels.max()} of "
        f"{labels.dtype}; number the classes from 0.",
    )
    sums = np.exp(table).sum(0)
    require(
        bool(np.abs(sums - 1).max() < 1e-3),
        f"log_p expects probabilities that sum to 1 over the classes, got {sums.min():g} to "
        f"{sums.max():g}; normalise them, as vaelab.bayes.log_posterior does.",
    )
    return table, labels.astype(np.int64)


def _confidence(log_p: ArrayLike, y: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """max_y p(y|x), and whether that class is the image's own: each (N,)."""
    table, labels = _require_table(log_p, y)
    return np.exp(table.max(0)), table.argmax(0) == labels


def _bin(
    confidence: Floats, right: NDArray[np.bool_], num_bins: int, equal_width: bool = False
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Mean confidence, accuracy and number of images of each bin that has any."""
    shares = np.arange(1, num_bins) / num_bins
    edges = shares if equal_width else np.quantile(confidence, shares)
    number = np.searchsorted(np.unique(edges), confidence, side="right")
    count = np.bincount(number)
    filled = count > 0
    sums = [np.bincount(number, values)[filled] for values in (confidence, right.astype(float))]
    means = [one / count[filled] for one in sums]
    return means[0], means[1], count[filled]


def _ece(confidence: Floats, accuracy: Floats, num_images: NDArray[np.int64]) -> float:
    return float((num_images * np.abs(accuracy - confidence)).sum() / num_images.sum())
