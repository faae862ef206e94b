"""The score of the FactorVAE paper: which factor was held fixed, from the least variance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.metrics.base import Score
from vaelab.metrics.factor_dataset import FactorDataset
from vaelab.metrics.fixed_factor import FixedFactorMetric, accuracy, draw_points


def factor_vae_score(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    num_train: int = 10_000,
    num_eval: int = 5_000,
    batch_size: int = 64,
    num_variance: int = 10_000,
    min_std: float = 0.05,
    rng: np.random.Generator | None = None,
    names: Sequence[str] = (),
) -> Score:
    """Accuracy of a majority vote that predicts which factor was held fixed.

    A vote is made of a factor k, drawn uniformly, and `batch_size` images that share one value of
    k: argmin_j Var_batch(r_j) / Var_all(r_j), both with divisor n - 1. Each latent predicts the
    factor with most of its training votes (the first of equals, and the first factor of all if it
    has none). Chance is 1 / F.

    Kim and Mnih 2018, "Disentangling by factorising", sec. 4, https://arxiv.org/abs/1802.05983. As
    in Locatello et al. 2019, https://arxiv.org/abs/1811.12359, latents whose standard deviation
    over all images is below `min_std` are left out: noise of an inactive latent could vary least.

    Args:
        codes: (N, L). factors: (N, F). Batches are drawn among these N images.
        num_train, num_eval: votes to fit to and to score on.
        num_variance: images behind Var_all.
        min_std: least standard deviation of a latent that votes.
        names: of the factors.

    Returns:
        The accuracy in [0, 1], 0 where no latent is left; for each factor the
        accuracy on its own votes. Detail num_active_latents: how many latents are left.

    Raises:
        UserError: codes that are not finite, a factor that never varies, or a value of a factor
            with fewer than two images.
    """
    metric = FactorVAEScore(
        num_train=num_train,
        num_eval=num_eval,
        batch_size=batch_size,
        num_variance=num_variance,
        min_std=min_std,
    )
    rng = np.random.default_rng(0) if rng is None else rng
    return metric.score(FactorDataset.of(codes, factors, names), rng)


@dataclass(frozen=True)
class FactorVAEScore(FixedFactorMetric):
    """`factor_vae_score` of a model's codes; score "factor_vae_score".

    Args:
        num_variance: images behind the variance of each latent.
        min_std: least standard deviation of a latent that votes.
    """

    name = "factor_vae_score"
    num_variance: int = 10_000
    min_std: float = 0.05

    def score(self, dataset: FactorDataset, rng: np.random.Generator) -> Score:
        variance = _variance(dataset.codes(dataset.sample(self.num_variance, rng)), axis=0)
        active = np.flatnonzero(np.sqrt(variance) >= self.min_std)

        def relative_variance(factor: int, num: int) -> NDArray[np.floating]:
            values = dataset.factors[dataset.sample(num, rng), factor]
            values = np.repeat(values[:, None], self.batch_size, 1)
            rows = dataset.sample_given_factor(factor, values, rng)
            return _variance(dataset.codes(rows), axis=1)[:, active] / variance[active]

        def votes(num: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
            points, factor = draw_points(dataset, num, self.batch_size, relative_variance, rng)
            return points.argmin(axis=1), factor

        if len(active):
            counts = np.zeros((dataset.num_factors, len(active)), np.int64)
            latent, factor = votes(self.num_train)
            np.add.at(counts, (factor, latent), 1)
            latent, factor = votes(self.num_eval)
            predicted = counts.argmax(axis=0)[latent]
            score = accuracy(predicted, factor, dataset.names)
        else:
            score = Score(0.0, None, dict.fromkeys(dataset.names, 0.0))
        return score.with_details(
            num_train=self.num_train,
            num_eval=self.num_eval,
            batch_size=self.batch_size,
            num_variance=self.num_variance,
            min_std=self.min_std,
            num_active_latents=len(active),
        )


def _variance(codes: NDArray[np.floating], axis: int) -> NDArray[np.float64]:
    return codes.var(axis=axis, ddof=1, dtype=np.float64)
