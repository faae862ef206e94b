"""The score of the FactorVAE paper: which factor was held fixed, told by the stillest latent."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.metrics.base import Metric, Score, with_code_suffix
from vaelab.metrics.beta_vae_score import accuracy, draw_points
from vaelab.metrics.factor_dataset import FactorDataset
from vaelab.seeding import derive_seed

if TYPE_CHECKING:
    from vaelab.metrics.encoded_dataset import EncodedDataset


def factor_vae_score(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    num_train: int = 10_000,
    num_eval: int = 5_000,
    batch_size: int = 64,
    num_variance: int = 10_000,
    min_std: float = 0.05,
    num_bootstrap: int = 200,
    rng: np.random.Generator | None = None,
    names: Sequence[str] = (),
) -> Score:
    """Accuracy of a majority vote that tells the fixed factor (Kim and Mnih 2018, sec. 4).

    A vote is made of a factor k, drawn uniformly, and `batch_size` images that share one value of
    k: argmin_j Var_batch(r_j) / Var_all(r_j), both with divisor n - 1. Each latent stands for the
    factor with most of its training votes (the first of equals, and the first factor of all if it
    has none). Latents whose standard deviation over all is below `min_std` take no part
    (Locatello et al. 2019): noise of a dead latent could be the stillest. Chance is 1 / F.

    Args:
        codes: (N, L). factors: (N, F). Batches are drawn among these N images.
        num_train, num_eval: votes to fit and to score on.
        num_variance: images behind Var_all.
        names: of the factors.

    Returns:
        The accuracy in [0, 1], 0 without interval where no latent takes part; for each factor the
        accuracy on its own votes. Setting num_active_latents: how many latents take part.

    Raises:
        UserError: codes that are not finite, a factor that never changes, or a value of a factor
            with fewer than two images.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    dataset = FactorDataset.of(codes, factors, names)
    sizes = (num_train, num_eval, batch_size, num_variance)
    return _score(dataset, *sizes, min_std, num_bootstrap, rng)


class FactorVAEScore(Metric):
    """`factor_vae_score` of a run; `codes`: "mean" or "sampled"."""

    def __init__(
        self,
        num_train: int = 10_000,
        num_eval: int = 5_000,
        batch_size: int = 64,
        num_variance: int = 10_000,
        min_std: float = 0.05,
        codes: str = "mean",
        num_bootstrap: int = 200,
        seed: int = 0,
    ):
        self.sizes = (num_train, num_eval, batch_size, num_variance)
        self.min_std, self.num_bootstrap = min_std, num_bootstrap
        self.codes, self.seed = codes, seed

    def __call__(self, encoded: "EncodedDataset") -> dict[str, Score]:
        rng = np.random.default_rng(derive_seed("metrics", "factor_vae_score", self.seed))
        dataset = encoded.factor_dataset(self.codes, rng)
        score = _score(dataset, *self.sizes, self.min_std, self.num_bootstrap, rng)
        return with_code_suffix({"factor_vae_score": score}, self.codes)


def _score(
    dataset: FactorDataset,
    num_train: int,
    num_eval: int,
    batch_size: int,
    num_variance: int,
    min_std: float,
    num_bootstrap: int,
    rng: np.random.Generator,
) -> Score:
    variance = _variance(dataset.codes(dataset.draw(num_variance, rng)), axis=0)
    active = np.flatnonzero(np.sqrt(variance) >= min_std)

    def still(factor: int, num: int) -> NDArray[np.floating]:
        values = dataset.factors[dataset.draw(num, rng), factor]
        rows = dataset.sample_given_factor(factor, np.repeat(values[:, None], batch_size, 1), rng)
        return _variance(dataset.codes(rows), axis=1)[:, active] / variance[active]

    if len(active):
        train, train_factor = draw_points(dataset, num_train, batch_size, still, rng)
        points, factor = draw_points(dataset, num_eval, batch_size, still, rng)
        votes = np.zeros((dataset.num_factors, len(active)), np.int64)
        np.add.at(votes, (train_factor, train.argmin(axis=1)), 1)
        predicted = votes.argmax(axis=0)[points.argmin(axis=1)]
        score = accuracy(predicted, factor, dataset.names, num_bootstrap, rng)
    else:
        score = Score(0.0, None, dict.fromkeys(dataset.names, 0.0), {"interval": "none"})
    score.settings.update(
        num_train=num_train,
        num_eval=num_eval,
        batch_size=batch_size,
        num_variance=num_variance,
        min_std=min_std,
        num_active_latents=len(active),
    )
    return score


def _variance(codes: NDArray[np.floating], axis: int) -> NDArray[np.float64]:
    return codes.var(axis=axis, ddof=1, dtype=np.float64)
