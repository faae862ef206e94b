"""Explicitness: how well a linear classifier of the codes predicts each value of a factor."""

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require
from vaelab.metrics.base import Score, mean_over_factors
from vaelab.metrics.factor_dataset import FactorDataset, split_train_test


def explicitness(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    num_train: int | None = None,
    num_bootstrap: int = 200,
    rng: np.random.Generator | None = None,
    names: Sequence[str] = (),
) -> Score:
    """How well a linear classifier of the codes distinguishes each value of a factor from the rest.

        1/F sum_k mean_v AUC(p(v_k = v | z))

    with the area under the ROC curve on test rows; 0.5 is chance. Ridgeway and Mozer 2018,
    "Learning deep disentangled embeddings with the F-statistic loss", sec. 3,
    https://arxiv.org/abs/1802.05312.

    As in Locatello et al. 2019, https://arxiv.org/abs/1811.12359, with the scikit-learn of that
    study (before 0.22): one LogisticRegression (liblinear) per value on standardised codes, its
    probabilities normalised over the values. Today's default, a multinomial model, scores higher:
    0.98 against 0.93 on a perfect linear code of dSprites. (`beta_vae_score` does use today's
    default.)

    Args:
        codes: (N, L).
        factors: (N, F), the value of each factor, of any type.
        num_train: rows to fit to, drawn at random, the rest to test on; two thirds by default.
        num_bootstrap: resamples of the test rows for the interval (classifiers are kept).
        names: of the factors.

    Returns:
        A score in [0, 1], with that of each factor. Values missing in the test rows are left out.

    Raises:
        UserError: too few rows, codes not finite, or a factor that never varies.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    dataset = FactorDataset.of(codes, factors, names)
    train, test = split_train_test(len(dataset), num_train, rng)
    table = dataset.all_codes()
    spread = table[train].std(axis=0)
    table = (table - table[train].mean(axis=0)) / np.where(spread > 0, spread, 1)
    curves = []
    for name, values in zip(dataset.names, dataset.factors.T, strict=True):
        require(
            min(len(np.unique(values[part])) for part in (train, test)) > 1,
            "factors expects at least 2 values of each factor among the rows to fit to and among "
            f"those to test on, got one of {name}; give more images.",
        )
        curves.append(_fit(table[train], values[train], table[test], values[test]))

    def areas(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([curve.mean_area(counts) for curve in curves])

    score = mean_over_factors(areas, len(test), dataset.names, rng, num_bootstrap)
    return score.with_details(
        num_train=len(train),
        num_test=len(test),
        scikit_learn=version("scikit-learn"),
        interval=f"95 %, {num_bootstrap} bootstrap resamples of the test images, classifiers kept",
    )


def _fit(
    train: NDArray[np.float64],
    train_values: NDArray[np.integer],
    test: NDArray[np.float64],
    test_values: NDArray[np.integer],
) -> "RocCurves":
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    classifier = OneVsRestClassifier(LogisticRegression(solver="liblinear"))
    classifier.fit(train, train_values)
    is_value = test_values[:, None] == classifier.classes_
    return RocCurves(classifier.predict_proba(test), is_value)


class RocCurves:
    """Areas under the ROC curves of K one-vs-rest scores, for any multiplicities of the rows.

        AUC = P(score of a positive row > score of a negative one) + 1/2 P(equal)

    Args:
        scores: (N, K).
        positive: (N, K) bool, at most one True per row.
    """

    def __init__(self, scores: NDArray[np.float64], positive: NDArray[np.bool_]):
        self.order = np.argsort(scores.T, axis=1)
        self.rows, self.columns = np.nonzero(positive)
        # How many rows score below, and below or equal to, each positive row.
        self.below, self.up_to = np.empty((2, len(self.rows)), np.int64)
        for k, order in enumerate(self.order):
            mine = self.columns == k
            own, ranked = scores[self.rows[mine], k], scores[order, k]
            self.below[mine] = np.searchsorted(ranked, own, "left")
            self.up_to[mine] = np.searchsorted(ranked, own, "right")

    def areas(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """(N,) multiplicities -> (K,), NaN where no row is positive or none is negative."""
        num_columns, num_rows = self.order.shape
        total = np.zeros((num_columns, num_rows + 1), np.int64)
        np.cumsum(counts[self.order], axis=1, out=total[:, 1:])
        weights = counts[self.rows].astype(float)
        beaten = (total[self.columns, self.below] + total[self.columns, self.up_to]) / 2
        positives = np.bincount(self.columns, weights, num_columns)
        wins = np.bincount(self.columns, weights * beaten, num_columns) - positives**2 / 2
        pairs = positives * (counts.sum() - positives)
        return np.divide(wins, pairs, where=pairs > 0, out=np.full(num_columns, np.nan))

    def mean_area(self, counts: NDArray[np.int64]) -> float:
        """Mean over the scores that have one; 0.5, chance, where none has."""
        areas = self.areas(counts)
        return 0.5 if np.isnan(areas).all() else float(np.nanmean(areas))
