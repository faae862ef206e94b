"""The score of the beta-VAE paper: which factor was held fixed, told from differences of codes."""

import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require
from vaelab.metrics.base import Metric, Score, bootstrap_interval, with_code_suffix
from vaelab.metrics.factor_dataset import FactorDataset
from vaelab.seeding import derive_seed

if TYPE_CHECKING:
    from vaelab.metrics.encoded_dataset import EncodedDataset

ROWS_AT_ONCE = 2**17  # rows whose codes are in memory together

Measure = Callable[[int, int], NDArray[np.floating]]


def beta_vae_score(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    num_train: int = 10_000,
    num_eval: int = 5_000,
    batch_size: int = 64,
    num_bootstrap: int = 200,
    rng: np.random.Generator | None = None,
    names: Sequence[str] = (),
) -> Score:
    """Accuracy of a linear classifier that tells the fixed factor (Higgins et al. 2017, sec. 3).

    A point is made of a factor k, drawn uniformly, and `batch_size` pairs of images, each pair
    alike in k and free in the rest: its features are mean_b |r(x1_b) - r(x2_b)|, (L,), its class
    is k. The classifier is scikit-learn's LogisticRegression() on features as they are (Locatello
    et al. 2019), so the score depends on the scale of the codes. Chance is 1 / F.

    Args:
        codes: (N, L). factors: (N, F). Pairs are drawn among these N images.
        num_train, num_eval: points to fit and to score on.
        names: of the factors.

    Returns:
        The accuracy in [0, 1]; for each factor the accuracy on its own points.

    Raises:
        UserError: codes that are not finite, a factor that never changes, or a value of a factor
            with fewer than two images.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    dataset = FactorDataset.of(codes, factors, names)
    return _score(dataset, num_train, num_eval, batch_size, num_bootstrap, rng)


class BetaVAEScore(Metric):
    """`beta_vae_score` of a run; `codes`: "mean" or "sampled"."""

    def __init__(
        self,
        num_train: int = 10_000,
        num_eval: int = 5_000,
        batch_size: int = 64,
        codes: str = "mean",
        num_bootstrap: int = 200,
        seed: int = 0,
    ):
        self.num_train, self.num_eval, self.batch_size = num_train, num_eval, batch_size
        self.codes, self.num_bootstrap, self.seed = codes, num_bootstrap, seed

    def __call__(self, encoded: "EncodedDataset") -> dict[str, Score]:
        rng = np.random.default_rng(derive_seed("metrics", "beta_vae_score", self.seed))
        sizes = (self.num_train, self.num_eval, self.batch_size, self.num_bootstrap)
        score = _score(encoded.factor_dataset(self.codes, rng), *sizes, rng)
        return with_code_suffix({"beta_vae_score": score}, self.codes)


def _score(
    dataset: FactorDataset,
    num_train: int,
    num_eval: int,
    batch_size: int,
    num_bootstrap: int,
    rng: np.random.Generator,
) -> Score:
    def difference(factor: int, num: int) -> NDArray[np.floating]:
        rows = dataset.draw(num * batch_size, rng).reshape(num, batch_size)
        others = dataset.sample_given_factor(factor, dataset.factors[rows, factor], rng)
        return np.abs(dataset.codes(rows) - dataset.codes(others)).mean(axis=1)

    train, train_factor = draw_points(dataset, num_train, 2 * batch_size, difference, rng)
    points, factor = draw_points(dataset, num_eval, 2 * batch_size, difference, rng)
    predicted, converged = _predict_factor(train, train_factor, points)
    score = accuracy(predicted, factor, dataset.names, num_bootstrap, rng)
    score.settings.update(
        num_train=num_train,
        num_eval=num_eval,
        batch_size=batch_size,
        converged="yes" if converged else "no",
        scikit_learn=version("scikit-learn"),
    )
    return score


def _predict_factor(
    train: NDArray, factor: NDArray[np.int64], points: NDArray
) -> tuple[NDArray[np.int64], bool]:
    """Classes predicted for `points` (M, L), and whether the fit converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported as a setting of the score
        model.fit(train, factor)
    return model.predict(points), bool(model.n_iter_.max() < model.max_iter)


def draw_points(
    dataset: FactorDataset,
    num: int,
    rows_per_point: int,
    measure: Measure,
    rng: np.random.Generator,
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Points with a factor each, drawn uniformly: their features (num, L) and factors (num,).

    measure(factor, m) draws the features (m, L) of m points of a factor; it is asked for as many
    at once as memory allows.

    Raises:
        UserError: one factor alone, of which nothing can be told, too few points, or a value of a
            factor with fewer than two images, which would always be paired with itself.
    """
    require(dataset.num_factors > 1, "this score expects at least 2 factors, got 1.")
    for name, column in zip(dataset.names, dataset.factors.T, strict=True):
        rarest = int(np.bincount(column).min())
        require(
            rarest > 1,
            f"this score expects at least 2 images of each value of a factor, got {rarest} of a "
            f"value of {name}; give more images, or leave that value out.",
        )
    factors = rng.integers(dataset.num_factors, size=num)
    counts = np.bincount(factors, minlength=dataset.num_factors)
    require(
        bool(counts.all()),
        f"this score expects points of each of the {dataset.num_factors} factors, got none of "
        f"some among {num}; set num_train and num_eval higher.",
    )
    chunk = max(1, ROWS_AT_ONCE // rows_per_point)
    for factor, count in enumerate(counts):
        sizes = np.diff([*range(0, count, chunk), count])
        drawn = np.concatenate([measure(factor, int(size)) for size in sizes])
        if factor == 0:
            features = np.empty((num, drawn.shape[1]), drawn.dtype)
        features[factors == factor] = drawn
    return features, factors


def accuracy(
    predicted: NDArray[np.int64],
    factor: NDArray[np.int64],
    names: Sequence[str],
    num_bootstrap: int,
    rng: np.random.Generator,
) -> Score:
    """The share of points whose factor was told, over all and for each factor."""
    right = predicted == factor
    value, num = float(right.mean()), len(right)
    interval = bootstrap_interval(
        value, lambda counts: float(counts @ right) / num, num, rng, num_bootstrap, (0.0, 1.0)
    )
    rows = {name: float(right[factor == f].mean()) for f, name in enumerate(names)}
    how = "bootstrap of the points scored, fit kept" if num_bootstrap else "none"
    return Score(value, interval, rows, {"interval": how})
