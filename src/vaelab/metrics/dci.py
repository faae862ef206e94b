"""Disentanglement, completeness and informativeness, from what predicts each factor."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require
from vaelab.metrics.base import (
    Metric,
    Score,
    bootstrap_interval,
    centred_interval,
    with_code_suffix,
)
from vaelab.metrics.factor_dataset import FactorDataset, split_rows
from vaelab.metrics.importances import LEARNERS, fit_all
from vaelab.seeding import derive_seed

if TYPE_CHECKING:
    from vaelab.metrics.encoded_dataset import EncodedDataset

Array = NDArray[np.float64]


def dci(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    learner: str = "gradient_boosting",
    num_train: int | None = None,
    num_blocks: int = 10,
    num_bootstrap: int = 200,
    num_jobs: int | None = None,
    rng: np.random.Generator | None = None,
    names: Sequence[str] = (),
) -> dict[str, Score]:
    """DCI (Eastwood and Williams 2018, sec. 2): a learner predicts each factor from all latents.

    With R_jf the importance of latent j for factor f, see `disentanglement` and `completeness`.
    Informativeness is how well factors are predicted, averaged over them. The scores of two
    learners can't be compared. Learners:

    gradient_boosting: 100 stages of trees of depth 3 with factors as classes, as in Locatello et
        al. (2019): GradientBoostingClassifier() of scikit-learn, see `BoostedTrees`. Accuracy.
    random_forest: RandomForestClassifier of 100 trees, all latents at each split, at least 5 images
        in a leaf. Accuracy.
    lasso: Lasso(alpha=0.02) of each standardised factor (values 0, 1, ... in their order) on
        standardised latents, importance |coefficient|. Informativeness is R^2.

    The intervals of disentanglement and completeness come from fits on `num_blocks` disjoint
    blocks of the training images (subsampling, Politis and Romano 1994).

    Args:
        codes: (N, L), L at least 2. factors: (N, F), F at least 2.
        num_train: images to fit on, drawn from the N; the others are tested on. Default N * 2/3.
        num_blocks: 0 for no interval of disentanglement and completeness.
        num_bootstrap: resamples behind the interval of informativeness; 0 for none.
        num_jobs: processes; None for as many as torch has threads. The scores don't depend on it.
        names: of the factors.

    Returns:
        disentanglement (rows: of each latent, z1, z2, ...), completeness, informativeness_train
        and informativeness_test (rows: of each factor).

    Raises:
        UserError: codes that are not finite, fewer than two latents or factors, a factor that
            never changes, blocks without images, or nothing left to test on.
    """
    require(learner in LEARNERS, f"learner expects {', '.join(LEARNERS)}, got {learner!r}.")
    rng = np.random.default_rng(0) if rng is None else rng
    dataset = FactorDataset.of(codes, factors, names)
    num_latents = dataset.codes(np.zeros(1, np.int64)).shape[1]
    require(
        min(num_latents, dataset.num_factors) > 1,
        f"DCI expects latents and factors of at least 2 of each, got {num_latents} and "
        f"{dataset.num_factors}.",
    )
    train, test = split_rows(len(dataset), num_train, rng)
    require(
        num_blocks == 0 or 2 <= num_blocks <= len(train) // 2,
        f"num_blocks expects 0, or from 2 to half the {len(train)} images that are fitted to, got "
        f"{num_blocks}.",
    )
    x, y = dataset.codes(train), dataset.factors[train]
    fits = fit_all(learner, x, y, dataset.codes(test), num_blocks, num_jobs, rng)
    settings: dict[str, int | float | str] = {
        "num_train": len(train),
        "num_test": len(test),
        "learner": learner,
        "informativeness": "R^2" if learner == "lasso" else "accuracy",
    }
    if learner != "gradient_boosting":  # whose trees are our own
        settings["scikit_learn"] = version("scikit-learn")
    scores = _structure(fits.importances, dataset, settings)
    for part, truth, predicted in (
        ("train", y, fits.train),
        ("test", dataset.factors[test], fits.test),
    ):
        score = _informativeness(learner, truth, predicted, dataset, num_bootstrap, rng)
        how = f"bootstrap of the {part} images, fits kept" if num_bootstrap else "none"
        score.settings.update(settings | {"interval": how})
        scores[f"informativeness_{part}"] = score
    return scores


def _structure(
    importances: Array, dataset: FactorDataset, settings: dict[str, int | float | str]
) -> dict[str, Score]:
    """Disentanglement and completeness from importances (1 + blocks, L, F), the whole first."""
    whole, *blocks = importances
    how = f"fits to {len(blocks)} disjoint blocks of the training images" if blocks else "none"
    scores = {}
    for name, of, rows in (
        ("disentanglement", disentanglement, _rows_of_latents(whole)),
        ("completeness", completeness, _by_name(dataset, 1 - _entropy(whole.T))),
    ):
        value, draws = of(whole), np.array([of(block) for block in blocks])
        interval = centred_interval(value, draws, (0.0, 1.0), max(len(blocks), 1) ** -0.5)
        scores[name] = Score(value, interval, rows, settings | {"interval": how})
    return scores


class DCI(Metric):
    """`dci` of a run; scores dci_disentanglement, ..., for other learners dci_lasso_... ."""

    def __init__(
        self,
        num_train: int = 10_000,
        num_test: int = 5_000,
        learner: str = "gradient_boosting",
        codes: str = "mean",
        num_blocks: int = 10,
        num_bootstrap: int = 200,
        num_jobs: int | None = None,
        seed: int = 0,
    ):
        self.num_train, self.num_test = num_train, num_test
        self.learner, self.codes = learner, codes
        self.num_blocks, self.num_bootstrap = num_blocks, num_bootstrap
        self.num_jobs, self.seed = num_jobs, seed

    def __call__(self, encoded: "EncodedDataset") -> dict[str, Score]:
        rng = np.random.default_rng(derive_seed("metrics", "dci", self.seed))
        dataset = encoded.factor_dataset(self.codes, rng)
        rows = dataset.draw(self.num_train + self.num_test, rng)
        scores = dci(
            dataset.codes(rows),
            dataset.factors[rows],
            learner=self.learner,
            num_train=self.num_train,
            num_blocks=self.num_blocks,
            num_bootstrap=self.num_bootstrap,
            num_jobs=self.num_jobs,
            rng=rng,
            names=dataset.names,
        )
        prefix = "dci_" if self.learner == "gradient_boosting" else f"dci_{self.learner}_"
        return with_code_suffix(
            {prefix + name: score for name, score in scores.items()}, self.codes
        )


def disentanglement(importances: ArrayLike) -> float:
    """sum_j w_j (1 - H_F(R_j.)) of importances R (L, F): each latent tells of one factor alone.

    H_F is the entropy, to the base F, of latent j's importances as shares of their sum; w_j is the
    share of that sum in the sum of all. A latent of no importance has no weight, and 0 comes of
    importances that are all zero. 0 log 0 = 0 exactly, where the study adds 1e-11.

    Raises:
        UserError: another shape than (L, F) with F at least 2, or negative importances.
    """
    r = np.asarray(importances, np.float64)
    require(
        r.ndim == 2 and r.shape[1] > 1 and bool((r >= 0).all()),
        f"DCI expects importances (latents, factors) of at least 2 of each, none of them negative, "
        f"got shape {r.shape} and a smallest of {r.min()}.",
    )
    total = r.sum()
    return float(r.sum(axis=1) / total @ (1 - _entropy(r))) if total > 0 else 0.0


def completeness(importances: ArrayLike) -> float:
    """sum_f w_f (1 - H_L(R_.f)) of importances R (L, F): each factor is told by one latent alone.

    As `disentanglement`, with the importances transposed.
    """
    return disentanglement(np.asarray(importances, np.float64).T)


def _entropy(r: Array) -> Array:
    """Entropy of each row as shares of its sum, to the base of their number; 1 for zeros."""
    from scipy.special import entr

    sums = r.sum(axis=1, keepdims=True)
    shares = np.divide(r, sums, out=np.full_like(r, 1 / r.shape[1]), where=sums > 0)
    return entr(shares).sum(axis=1) / np.log(r.shape[1])


def _informativeness(
    learner: str,
    truth: NDArray,
    predicted: NDArray,
    dataset: FactorDataset,
    num_bootstrap: int,
    rng: np.random.Generator,
) -> Score:
    quality, low = (_r_squared, -np.inf) if learner == "lasso" else (_accuracy, 0.0)

    def mean(counts: NDArray[np.int64]) -> float:
        return float(quality(truth, predicted, counts).mean())

    num = len(truth)
    rows = quality(truth, predicted, np.ones(num, np.int64))
    value = float(rows.mean())
    interval = bootstrap_interval(value, mean, num, rng, num_bootstrap, (low, 1.0))
    return Score(value, interval, _by_name(dataset, rows))


def _accuracy(truth: NDArray, predicted: NDArray, counts: NDArray[np.int64]) -> Array:
    """Of each factor, where row i counts `counts[i]` times: (n, F) twice -> (F,)."""
    return counts @ (truth == predicted) / counts.sum()


def _r_squared(truth: NDArray, predicted: NDArray, counts: NDArray[np.int64]) -> Array:
    """As `_accuracy`: 1 - squared error over variance."""
    values, num = truth.astype(np.float64), counts.sum()
    variance = counts @ (values - counts @ values / num) ** 2
    return 1 - counts @ (values - predicted) ** 2 / variance


def _by_name(dataset: FactorDataset, values: Array) -> dict[str, float]:
    return dict(zip(dataset.names, values.tolist(), strict=True))


def _rows_of_latents(importances: Array) -> dict[str, float]:
    rows = 1 - _entropy(importances)
    return {f"z{j}": float(value) for j, value in enumerate(rows, start=1)}
