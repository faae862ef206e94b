"""The separated attribute predictability score, in two forms that can't be compared."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from vaelab.metrics.base import CodesMetric, Score, TrainTestMetric, mean_over_factors
from vaelab.metrics.factor_dataset import FactorDataset, require_two_latents, split_train_test

Floats = NDArray[np.float64]


def sap(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    num_train: int | None = None,
    rng: np.random.Generator | None = None,
    names: Sequence[str] = (),
) -> Score:
    """Gap between the two latents that classify a factor best.

    mean_f (S_(1)f - S_(2)f), where S_jf is the test accuracy of a linear classifier of factor f
    from latent j alone, and (1), (2) are the latents with the largest S.

    Kumar et al. 2018, "Variational inference of disentangled latent concepts from unlabeled
    observations", sec. 3, https://arxiv.org/abs/1711.00848, with the classifier of Locatello et al.
    2019, https://arxiv.org/abs/1811.12359: scikit-learn's LinearSVC(C=0.01,
    class_weight="balanced").

    The score depends on the scale of the codes and on the number of images, since C is fixed, and a
    factor of many values has a low accuracy even where one latent is the factor itself. A perfect
    linear code of dSprites' factors scores 0.245 in [-1, 1] and 0.176 in [0, 1] with 10,000 images
    to fit to, and 0.178 in [-1, 1] with 4,000.

    Args:
        codes: (N, L), L at least 2. factors: (N, F), each value a class.
        num_train: images to fit to, drawn from the N, the rest to test on; two thirds by default.
        names: of the factors.

    Returns:
        The mean gap in [0, 1], and the gap of each factor.

    Raises:
        UserError: codes that are not finite, a single latent, a factor that never varies, or
            nothing left to test on.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    dataset = FactorDataset.of(codes, factors, names)
    train, test = split_train_test(len(dataset), num_train, rng)
    right = _correct_predictions(
        dataset.codes(train),
        dataset.factors[train],
        dataset.codes(test),
        dataset.factors[test],
    )
    return mean_over_factors(_gaps(right.mean(axis=0)), dataset.names).with_details(
        num_train=len(train),
        num_test=len(test),
        solver="LinearSVC, dual=False",  # the study's dual=True has the same minimum
        scikit_learn=version("scikit-learn"),
    )


def sap_r2(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    names: Sequence[str] = (),
) -> Score:
    """Gap between the two latents that correlate most with a factor.

    mean_f (S_(1)f - S_(2)f) as in `sap`, with the squared correlation S_jf = Cov(r_j, v_f)^2 /
    (Var(r_j) Var(v_f)), the form of Kumar et al. 2018, sec. 3, https://arxiv.org/abs/1711.00848,
    for continuous factors; S_jf = 0 where latent j is constant. Values of a factor count as 0, 1,
    ... in their order, which means little for a factor without an order, such as a shape. No
    training; on another scale than `sap`, with which it can't be compared.

    Args, Returns, Raises: as `sap`.
    """
    dataset = FactorDataset.of(codes, factors, names)
    r = _standardise(dataset.all_codes())
    v = _standardise(dataset.factors.astype(np.float64))
    gaps = _gaps(np.square(r.T @ v / len(r)))
    return mean_over_factors(gaps, dataset.names).with_details(num_samples=len(r))


@dataclass(frozen=True)
class SAP(TrainTestMetric):
    """`sap` of a model's codes: linear classifiers. Not comparable with `SAPR2`."""

    name = "sap"
    bounds = (0.0, 1.0)
    num_repeats: int = field(default=10, kw_only=True)

    def scores(self, codes: ArrayLike, factors: ArrayLike, **options) -> dict[str, Score]:
        return {"sap": sap(codes, factors, num_train=self.num_train, **options)}


@dataclass(frozen=True)
class SAPR2(CodesMetric):
    """`sap_r2` of a model's codes: squared correlations. Not comparable with `SAP`.

    Args:
        num_samples: images drawn with replacement.
    """

    name = "sap_r2"
    bounds = (0.0, 1.0)
    num_samples: int = 10_000

    def scores(self, codes: ArrayLike, factors: ArrayLike, **options) -> dict[str, Score]:
        return {"sap_r2": sap_r2(codes, factors, names=options["names"])}


def _gaps(scores: Floats) -> Floats:
    """Largest minus second largest of each column: (L, F) -> (F,)."""
    require_two_latents(len(scores))
    second, first = np.sort(scores, axis=0)[-2:]
    return first - second


def _correct_predictions(
    codes: NDArray, factors: NDArray, test_codes: NDArray, test_factors: NDArray
) -> NDArray[np.bool_]:
    """Whether factor f of a test image is predicted from latent j alone: (num_test, L, F)."""
    from joblib import Parallel, delayed
    from sklearn.svm import LinearSVC

    def correct(j: int, f: int) -> NDArray[np.bool_]:
        model = LinearSVC(C=0.01, class_weight="balanced", dual=False)
        model.fit(codes[:, [j]], factors[:, f])
        return model.predict(test_codes[:, [j]]) == test_factors[:, f]

    shape = (codes.shape[1], factors.shape[1])
    # Threads, since liblinear releases the GIL; as many as torch may use.
    threads = Parallel(torch.get_num_threads(), prefer="threads")
    columns = threads(delayed(correct)(j, f) for j, f in np.ndindex(shape))
    return np.stack(columns, axis=1).reshape(len(test_codes), *shape)


def _standardise(columns: Floats) -> Floats:
    """Columns of mean 0 and variance 1; zeros for a constant one, whatever its rounding errors."""
    std = columns.std(axis=0)
    varies = std > 1e-12 * np.abs(columns).max(axis=0)
    return np.where(varies, (columns - columns.mean(axis=0)) / np.where(varies, std, 1), 0.0)
