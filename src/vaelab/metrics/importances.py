"""How important each latent is to each factor: learners fitted to one factor at a time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from vaelab.metrics.boosted_trees import BoostedTrees

Array = NDArray[np.float64]
Predict = Callable[[NDArray], NDArray]
LASSO_ALPHA = 0.02


class Fits(NamedTuple):
    """Importances (1 + blocks, L, F), those of all rows first; predictions (n, F) of both parts."""

    importances: Array
    train: NDArray
    test: NDArray


def fit_all(
    learner: str,
    x: NDArray,
    y: NDArray,
    test: NDArray,
    num_blocks: int,
    num_jobs: int | None,
    rng: np.random.Generator,
) -> Fits:
    """Fits of every factor to all rows and to each block, in parallel, the longest first."""
    from joblib import Parallel, delayed, parallel_config

    blocks = [np.arange(len(x)), *np.array_split(np.arange(len(x)), num_blocks or 1)]
    blocks = blocks[: 1 + num_blocks]
    tasks = [(b, f) for b in range(len(blocks)) for f in range(y.shape[1])]
    seeds = rng.integers(2**31, size=len(tasks))
    work = [len(blocks[b]) * len(np.unique(y[:, f])) for b, f in tasks]
    order = np.argsort(work, kind="stable")[::-1]

    def call(task: int):
        (b, f), seed = tasks[task], int(seeds[task])
        parts = (x, test) if b == 0 else ()
        return delayed(_fit)(learner, x[blocks[b]], y[blocks[b], f], seed, parts)

    with parallel_config("loky", inner_max_num_threads=1):
        # As many as threads, of which each job of a sweep has its share.
        parallel = Parallel(num_jobs or torch.get_num_threads(), batch_size=1, pre_dispatch="all")
        done = dict(zip(order.tolist(), parallel(call(t) for t in order.tolist()), strict=True))
    results = [done[task] for task in range(len(tasks))]
    shape = (len(blocks), y.shape[1], x.shape[1])
    importances = np.array([r[0] for r in results]).reshape(shape).swapaxes(1, 2)
    first = [predictions for _, predictions in results[: y.shape[1]]]
    return Fits(importances, *(np.stack(part, axis=1) for part in zip(*first, strict=True)))


def _fit(
    learner: str, x: NDArray, y: NDArray, seed: int, parts: Sequence[NDArray]
) -> tuple[Array, list[NDArray]]:
    """Importances (L,) and the predictions for every part."""
    importances, predict = LEARNERS[learner](x, y, seed)
    return importances, [predict(part) for part in parts]


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
