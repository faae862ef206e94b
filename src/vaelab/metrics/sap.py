"""The separated attribute predictability score, in its two forms, which can't be compared."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require
from vaelab.metrics.base import Metric, Score, bootstrap_interval, with_code_suffix
from vaelab.metrics.factor_dataset import FactorDataset, split_rows
from vaelab.seeding import derive_seed

if TYPE_CHECKING:
    from vaelab.metrics.encoded_dataset import EncodedDataset


def sap(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    num_train: int | None = None,
    num_bootstrap: int = 200,
    rng: np.random.Generator | None = None,
    names: Sequence[str] = (),
) -> Score:
    """Gap between the two latents that classify a factor best (Kumar et al. 2018, sec. 3).

    mean_f (S_(1)f - S_(2)f), where S_jf is the test accuracy of scikit-learn's LinearSVC(C=0.01,
    class_weight="balanced") of factor f from latent j alone (Locatello et al. 2019), and (1), (2)
    are the latents with the largest S. A factor of many values has a low accuracy even where one
    latent is the factor itself, and C counts for less the more images there are: a perfect code of
    dSprites' factors scores 0.25 with 10,000 images to fit on, and 0.18 with 4,000.

    Args:
        codes: (N, L), L at least 2. factors: (N, F), each value a class.
        num_train: images to fit on, drawn from the N; the others are tested on. Default N * 2/3.
        names: of the factors.

    Returns:
        The mean gap in [0, 1], and the gap of each factor.

    Raises:
        UserError: codes that are not finite, one latent alone, a factor that never changes, or
            nothing left to test on.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    dataset = FactorDataset.of(codes, factors, names)
    train, test = split_rows(len(dataset), num_train, rng)
    right = _classified(
        dataset.codes(train),
        dataset.factors[train],
        dataset.codes(test),
        dataset.factors[test],
    )
    num, (_, num_latents, num_factors) = len(test), right.shape
    flat = right.reshape(num, -1).astype(np.float32)  # sums of up to 2^24 ones are exact

    def gaps(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        hits = counts.astype(np.float32) @ flat
        return _gaps(hits.reshape(num_latents, num_factors).astype(np.float64) / num)

    score = _score(gaps, num, dataset.names, num_bootstrap, rng)
    score.settings.update(
        num_train=len(train),
        num_test=num,
        solver="LinearSVC, dual=False",  # the study's dual=True has the same minimum
        scikit_learn=version("scikit-learn"),
        interval="bootstrap of the test images, classifiers kept" if num_bootstrap else "none",
    )
    return score


def sap_r2(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    num_bootstrap: int = 200,
    rng: np.random.Generator | None = None,
    names: Sequence[str] = (),
) -> Score:
    """Gap between the two latents that correlate most with a factor (Kumar et al. 2018, sec. 3).

    mean_f (S_(1)f - S_(2)f) as in `sap`, with the squared correlation S_jf = Cov(r_j, v_f)^2 /
    (Var(r_j) Var(v_f)), the form for continuous factors; S_jf = 0 where latent j is constant.
    Values of a factor count as 0, 1, ... in their order, which says little of a factor without an
    order, such as a shape. No training; another scale than `sap`, with which it can't be compared.

    Args, Returns, Raises: as `sap`.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    dataset = FactorDataset.of(codes, factors, names)
    r = dataset.codes(np.arange(len(dataset))).astype(np.float64)
    v = dataset.factors.astype(np.float64)
    r, v = _standardised(r), _standardised(v)
    products = (r[:, :, None] * v[:, None, :]).reshape(len(r), -1)

    def gaps(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        w = counts / counts.sum()
        mean_r, mean_v = w @ r, w @ v
        var_r, var_v = w @ r**2 - mean_r**2, w @ v**2 - mean_v**2
        cov = (w @ products).reshape(r.shape[1], v.shape[1]) - np.outer(mean_r, mean_v)
        scale = np.outer(var_r, var_v)
        return _gaps(np.divide(cov**2, scale, out=np.zeros_like(cov), where=scale > 1e-12))

    score = _score(gaps, len(r), dataset.names, num_bootstrap, rng)
    score.settings.update(
        num_samples=len(r), interval="bootstrap of the images" if num_bootstrap else "none"
    )
    return score


class SAP(Metric):
    """`sap` of a run: linear classifiers. Not to be compared with `SAPR2`."""

    def __init__(
        self,
        num_train: int = 10_000,
        num_test: int = 5_000,
        codes: str = "mean",
        num_bootstrap: int = 200,
        seed: int = 0,
    ):
        self.num_train, self.num_test, self.codes = num_train, num_test, codes
        self.num_bootstrap, self.seed = num_bootstrap, seed

    def __call__(self, encoded: "EncodedDataset") -> dict[str, Score]:
        rng = np.random.default_rng(derive_seed("metrics", "sap", self.seed))
        dataset = encoded.factor_dataset(self.codes, rng)
        rows = dataset.draw(self.num_train + self.num_test, rng)
        score = sap(
            dataset.codes(rows),
            dataset.factors[rows],
            num_train=self.num_train,
            num_bootstrap=self.num_bootstrap,
            rng=rng,
            names=dataset.names,
        )
        return with_code_suffix({"sap": score}, self.codes)


class SAPR2(Metric):
    """`sap_r2` of a run: squared correlations. Not to be compared with `SAP`."""

    def __init__(
        self,
        num_samples: int = 10_000,
        codes: str = "mean",
        num_bootstrap: int = 200,
        seed: int = 0,
    ):
        self.num_samples, self.codes = num_samples, codes
        self.num_bootstrap, self.seed = num_bootstrap, seed

    def __call__(self, encoded: "EncodedDataset") -> dict[str, Score]:
        rng = np.random.default_rng(derive_seed("metrics", "sap_r2", self.seed))
        dataset = encoded.factor_dataset(self.codes, rng)
        rows = dataset.draw(self.num_samples, rng)
        score = sap_r2(
            dataset.codes(rows),
            dataset.factors[rows],
            num_bootstrap=self.num_bootstrap,
            rng=rng,
            names=dataset.names,
        )
        return with_code_suffix({"sap_r2": score}, self.codes)


def _score(gaps, num: int, names: Sequence[str], num_bootstrap: int, rng) -> Score:
    """The mean gap; gaps(counts) are those of each factor on rows repeated `counts` times."""
    once = gaps(np.ones(num, np.int64))
    value = float(once.mean())
    interval = bootstrap_interval(
        value, lambda counts: float(gaps(counts).mean()), num, rng, num_bootstrap, (0.0, 1.0)
    )
    return Score(value, interval, dict(zip(names, once.tolist(), strict=True)))


def _gaps(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest minus second largest of each column: (L, F) -> (F,)."""
    require(len(scores) > 1, "SAP expects codes of at least 2 latents, got 1.")
    second, first = np.sort(scores, axis=0)[-2:]
    return first - second


def _classified(
    codes: NDArray, factors: NDArray, test_codes: NDArray, test_factors: NDArray
) -> NDArray[np.bool_]:
    """Whether the factor f of a test image is told by latent j alone: (num_test, L, F)."""
    from joblib import Parallel, delayed
    from sklearn.svm import LinearSVC

    def told(j: int, f: int) -> NDArray[np.bool_]:
        model = LinearSVC(C=0.01, class_weight="balanced", dual=False)
        model.fit(codes[:, [j]], factors[:, f])
        return model.predict(test_codes[:, [j]]) == test_factors[:, f]

    shape = (codes.shape[1], factors.shape[1])
    # Threads, since liblinear lets go of Python's lock; as many as torch may have.
    threads = Parallel(torch.get_num_threads(), prefer="threads")
    columns = threads(delayed(told)(*place) for place in np.ndindex(shape))
    return np.stack(columns, axis=1).reshape(len(test_codes), *shape)


def _standardised(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of mean 0 and variance 1; zeros for a constant one, whatever its rounding errors."""
    std = columns.std(axis=0)
    varies = std > 1e-12 * np.abs(columns).max(axis=0)
    return np.where(varies, (columns - columns.mean(axis=0)) / np.where(varies, std, 1), 0.0)
