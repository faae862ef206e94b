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
    areas = []
    for name, values in zip(dataset.names, dataset.factors.T, strict=True):
        require(
            min(len(np.unique(values[part])) for part in (train, test)) > 1,
            "factors expects at least 2 values of each factor among the rows to fit to and among "
            f"those to test on, got one of {name}; give more images.",
        )
        areas.append(_mean_area(table[train], values[train], table[test], values[test]))
    score = mean_over_factors(np.array(areas), dataset.names)
    return score.with_details(
        num_train=len(train), num_test=len(test), scikit_learn=version("scikit-learn")
    )


def _mean_area(
    train: NDArray[np.float64],
    train_values: NDArray[np.integer],
    test: NDArray[np.float64],
    test_values: NDArray[np.integer],
) -> float:
    """Mean area under the ROC curve of the values that are in both parts; 0.5 where none is."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.multiclass import OneVsRestClassifier

    classifier = OneVsRestClassifier(LogisticRegression(solver="liblinear"))
    probabilities = classifier.fit(train, train_values).predict_proba(test)
    areas = [
        roc_auc_score(test_values == value, column)
        for value, column in zip(classifier.classes_, probabilities.T, strict=True)
        if 0 < (test_values == value).sum() < len(test_values)
    ]
    return float(np.mean(areas)) if areas else 0.5
