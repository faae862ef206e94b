"""Disentanglement, completeness and informativeness, from what predicts each factor."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.elbo_statistics import latent_names
from vaelab.errors import require, require_choice
from vaelab.metrics.base import Score, TrainTestMetric, mean_over_factors
from vaelab.metrics.factor_dataset import FactorDataset, require_two_latents, split_train_test
from vaelab.metrics.importances import LEARNERS, fit_all

Array = NDArray[np.float64]


def dci(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    learner: str = "gradient_boosting",
    num_train: int | None = None,
    num_jobs: int | None = None,
    rng: np.random.Generator | None = None,
    names: Sequence[str] = (),
) -> dict[str, Score]:
    """Disentanglement, completeness and informativeness: a learner predicts each factor.

    With R_jf the importance of latent j for factor f, see `disentanglement` and `completeness`.
    Informativeness is how well factors are predicted, averaged over them. Eastwood and Williams
    2018, "A framework for the quantitative evaluation of disentangled representations", sec. 2,
    https://openreview.net/forum?id=By-7dz-AZ. The scores of two learners can't be compared:

    gradient_boosting: 100 stages of trees of depth 3 with factors as classes, as in Locatello et
        al. 2019, https://arxiv.org/abs/1811.12359: GradientBoostingClassifier() of scikit-learn,
        see `BoostedTrees`. Accuracy.
    random_forest: RandomForestClassifier of 100 trees, all latents at each split, at least 5 images
        per leaf. Accuracy.
    lasso: Lasso(alpha=0.02) of each standardised factor (values 0, 1, ... in their order) on
        standardised latents, importance |coefficient|. Informativeness is R^2.

    Args:
        codes: (N, L), L at least 2. factors: (N, F), F at least 2.
        num_train: images to fit to, drawn from the N, the rest to test on; two thirds by default.
        num_jobs: processes; None for as many as torch has threads. The scores don't depend on it.
        names: of the factors.

    Returns:
        disentanglement (breakdown by latent), completeness, informativeness_train and
        informativeness_test (breakdown by factor).

    Raises:
        UserError: codes that are not finite, fewer than two latents or factors, a factor that
            never varies, or nothing left to test on.
    """
    require_choice("learner", learner, LEARNERS)
    rng = np.random.default_rng(0) if rng is None else rng
    dataset = FactorDataset.of(codes, factors, names)
    train, test = split_train_test(len(dataset), num_train, rng)
    x, y = dataset.codes(train), dataset.factors[train]
    require_two_latents(x.shape[1])
    dataset.require_two_factors()
    fits = fit_all(learner, x, y, dataset.codes(test), num_jobs, rng)
    r = fits.importances
    scores = {
        "disentanglement": _structure(disentanglement(r), r, latent_names(len(r))),
        "completeness": _structure(completeness(r), r.T, dataset.names),
    }
    for part, truth, predicted in (
        ("train", y, fits.train),
        ("test", dataset.factors[test], fits.test),
    ):
        quality = _r_squared if learner == "lasso" else _accuracy
        score = mean_over_factors(quality(truth, predicted), dataset.names)
        scores[f"informativeness_{part}"] = score
    details: dict[str, int | float | str] = {
        "num_train": len(train),
        "num_test": len(test),
        "learner": learner,
        "informativeness": "R^2" if learner == "lasso" else "accuracy",
    }
    if learner != "gradient_boosting":  # whose trees are our own
        details["scikit_learn"] = version("scikit-learn")
    return {name: score.with_details(**details) for name, score in scores.items()}


def _structure(value: float, rows: Array, names: Sequence[str]) -> Score:
    """A score of importances, with 1 - entropy of each row."""
    return Score(value, None, dict(zip(names, (1 - _entropy(rows)).tolist(), strict=True)))


@dataclass(frozen=True)
class DCI(TrainTestMetric):
    """`dci` of a model's codes; scores dci_disentanglement, ..., of other learners dci_lasso_... .

    A fit takes long, so that the intervals come from four further ones only: they are 1.5 times as
    wide as those from 20.

    Args:
        learner: "gradient_boosting", "random_forest" or "lasso".
        num_jobs: processes; None for as many as torch has threads.
    """

    name = "dci"
    min_factors = 2
    bounds = (-np.inf, 1.0)  # R^2 of the Lasso may be negative
    learner: str = "gradient_boosting"
    num_repeats: int = field(default=4, kw_only=True)
    num_jobs: int | None = None

    def scores(self, codes: ArrayLike, factors: ArrayLike, **options: Any) -> dict[str, Score]:
        scores = dci(
            codes,
            factors,
            learner=self.learner,
            num_train=self.num_train,
            num_jobs=self.num_jobs,
            **options,
        )
        prefix = "dci_" if self.learner == "gradient_boosting" else f"dci_{self.learner}_"
        return {prefix + name: score for name, score in scores.items()}


def disentanglement(importances: ArrayLike) -> float:
    """sum_j w_j (1 - H_F(R_j.)) of importances R (L, F): is each latent important to one factor?

    H_F is the entropy, to the base F, of latent j's importances as shares of their sum; w_j is the
    share of that sum in the sum of all. A latent of no importance has no weight, and the score is 0
    where all importances are zero. 0 log 0 = 0 exactly, where the study adds 1e-11.

    Raises:
        UserError: another shape than (L, F) with F at least 2, or negative importances.
    """
    r = np.asarray(importances, np.float64)
    require(
        r.ndim == 2 and r.shape[1] > 1 and bool((r >= 0).all()),
        "importances expects an array (latents, factors) of at least 2 of each, none negative, got "
        f"shape {r.shape} with a minimum of {r.min()}; give absolute values.",
    )
    total = r.sum()
    return float(r.sum(axis=1) / total @ (1 - _entropy(r))) if total > 0 else 0.0


def completeness(importances: ArrayLike) -> float:
    """sum_f w_f (1 - H_L(R_.f)) of importances R (L, F): is one latent important to each factor?

    As `disentanglement`, with the importances transposed.
    """
    return disentanglement(np.asarray(importances, np.float64).T)


def _entropy(r: Array) -> Array:
    """Entropy of each row as shares of its sum, to the base of their number; 1 for zeros."""
    from scipy.special import entr

    sums = r.sum(axis=1, keepdims=True)
    shares = np.divide(r, sums, out=np.full_like(r, 1 / r.shape[1]), where=sums > 0)
    return entr(shares).sum(axis=1) / np.log(r.shape[1])


def _accuracy(truth: NDArray, predicted: NDArray) -> Array:
    """Of each factor: (n, F) twice -> (F,)."""
    return (truth == predicted).mean(axis=0)


def _r_squared(truth: NDArray, predicted: NDArray) -> Array:
    """As `_accuracy`: 1 - squared error over variance."""
    values = truth.astype(np.float64)
    return 1 - np.square(values - predicted).mean(axis=0) / values.var(axis=0)
