"""How important each latent is to each factor: learners fitted to one factor at a time."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from vaelab.metrics.boosted_trees import BoostedTrees

Array = NDArray[np.float64]
Predict = Callable[[NDArray], NDArray]
LASSO_ALPHA = 0.02


class Fits(NamedTuple):
    """Importances (L, F) of latents to factors, and predictions (n, F) of both parts."""

    importances: Array
    train: NDArray
    test: NDArray


def fit_all(
    learner: str,
    x: NDArray,
    y: NDArray,
    test: NDArray,
    num_jobs: int | None,
    rng: np.random.Generator,
) -> Fits:
    """A fit of every factor to the codes x (n, L), in parallel, the longest first."""
    from joblib import Parallel, delayed, parallel_config

    seeds = rng.integers(2**31, size=(y.shape[1],))
    work = [len(np.unique(column)) for column in y.T]
    order = sorted(range(len(work)), key=lambda f: work[f], reverse=True)
    with parallel_config("loky", inner_max_num_threads=1):
        # As many as threads, of which each job of a sweep has its share.
        parallel = Parallel(num_jobs or torch.get_num_threads(), batch_size=1, pre_dispatch="all")
        calls = (delayed(_fit)(learner, x, y[:, f], int(seeds[f]), test) for f in order)
        results: dict[int, tuple] = dict(zip(order, parallel(calls), strict=True))
    parts = zip(*(results[f] for f in range(y.shape[1])), strict=True)
    return Fits(*(np.stack(part, axis=1) for part in parts))


def _fit(
    learner: str, x: NDArray, y: NDArray, seed: int, test: NDArray
) -> tuple[Array, NDArray, NDArray]:
    """Importances (L,) and the predictions for both parts."""
    importances, predict = LEARNERS[learner](x, y, seed)
    return importances, predict(x), predict(test)


def _gradient_boosting(x: NDArray, y: NDArray, seed: int) -> tuple[Array, Predict]:
    model = BoostedTrees(seed=seed).fit(x, y)
    return model.importances, model.predict


def _random_forest(x: NDArray, y: NDArray, seed: int) -> tuple[Array, Predict]:
    from sklearn.ensemble import RandomForestClassifier

    # Every split may choose among all latents: a random few would give importance to inactive ones.
    model = RandomForestClassifier(100, min_samples_leaf=5, max_features=None, random_state=seed)
    model.fit(x, y)
    return model.feature_importances_, model.predict


def _lasso(x: NDArray, y: NDArray, seed: int) -> tuple[Array, Predict]:
    from sklearn.linear_model import Lasso
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scale = y.std() or 1.0  # 0 in a block that has one value
    model = make_pipeline(StandardScaler(), Lasso(LASSO_ALPHA))
    model.fit(x.astype(np.float64), (y - y.mean()) / scale)
    return np.abs(model[-1].coef_), lambda part: model.predict(part) * scale + y.mean()


LEARNERS = {
    "gradient_boosting": _gradient_boosting,
    "random_forest": _random_forest,
    "lasso": _lasso,
}
