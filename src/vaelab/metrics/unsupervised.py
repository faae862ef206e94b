"""Dependence between latents, which needs no factors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require
from vaelab.metrics.base import CodesMetric, Score, bootstrap_interval
from vaelab.metrics.factor_dataset import require_codes, require_two_latents
from vaelab.metrics.mutual_information import discretize, mutual_information

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def gaussian_total_correlation(
    codes: ArrayLike, *, num_bootstrap: int = 200, rng: np.random.Generator | None = None
) -> Score:
    """Total correlation of the normal distribution with the codes' covariance S, in nats.

        KL(N(m, S) || N(m, diag S)) = 1/2 (sum_j log S_jj - log det S)

    Locatello et al. 2019, "Challenging common assumptions in the unsupervised learning of
    disentangled representations", sec. 4, https://arxiv.org/abs/1811.12359. Latents that never vary
    are left out, since they are independent of everything; infinite, and without interval, where
    one of the others is a linear function of the rest.

    Args:
        codes: (N, L), N >= 10 L.
        num_bootstrap: resamples of the rows for the interval; 0 for none.

    Raises:
        UserError: codes not finite, or fewer than 10 rows per latent.
    """
    return _of_covariance(codes, _total_correlation, num_bootstrap, rng)


def wasserstein_correlation(
    codes: ArrayLike,
    *,
    normalised: bool = False,
    num_bootstrap: int = 200,
    rng: np.random.Generator | None = None,
) -> Score:
    """Squared 2-Wasserstein distance of the codes' normal from that with independent latents.

        W = 2 tr S - 2 tr (D^1/2 S D^1/2)^1/2,    S the codes' covariance, D = diag S

    in the units of the codes squared; normalised: W / tr S, in [0, 2] and 0 where tr S = 0.
    Locatello et al. 2019, sec. 4, https://arxiv.org/abs/1811.12359, and its code. Latents that
    never vary add nothing.

    Args:
        codes: (N, L), N >= 10 L.
        num_bootstrap: resamples of the rows for the interval; 0 for none.

    Raises:
        UserError: codes not finite, or fewer than 10 rows per latent.
    """
    statistic = _normalised_wasserstein if normalised else _wasserstein
    return _of_covariance(codes, statistic, num_bootstrap, rng)


def pairwise_mutual_information(
    codes: ArrayLike,
    *,
    num_bins: int = 20,
    num_bootstrap: int = 200,
    rng: np.random.Generator | None = None,
) -> Score:
    """Mean mutual information of two different latents in nats: sum_{i != j} I_ij / (L (L - 1)).

    Plug-in estimates in `num_bins` bins of equal width. Locatello et al. 2019, sec. 4,
    https://arxiv.org/abs/1811.12359. For independent latents the bias is up to
    (num_bins - 1)^2 / 2N, 0.018 nats for 10,000 rows.

    Args:
        codes: (N, L), L >= 2.
        num_bootstrap: resamples of the rows for the interval (bins are kept); 0 for none.

    Raises:
        UserError: codes not finite, a single latent, or fewer rows than bins.
    """
    binned = discretize(require_codes(codes), num_bins)
    num_latents = binned.shape[1]
    require_two_latents(num_latents)
    different = ~np.eye(num_latents, dtype=bool)

    def mean(counts: Counts | None = None) -> float:
        return float(mutual_information(binned, binned, counts)[different].mean())

    score = _with_interval(mean, len(binned), num_bootstrap, rng, ", bins kept")
    return score.with_details(num_bins=num_bins)


def _of_covariance(
    codes: ArrayLike,
    statistic: Callable[[Floats], float],
    num_bootstrap: int,
    rng: np.random.Generator | None,
) -> Score:
    table = require_codes(codes).astype(np.float64)
    num, num_latents = table.shape
    require(
        num >= 10 * num_latents,
        f"codes expects at least {10 * num_latents} rows for the covariance of {num_latents} "
        f"latents, got {num}; raise num_samples.",
    )
    # After this, unlike after a rounded mean, a constant latent is exactly 0.
    table = table - np.median(table, axis=0)

    def of_covariance(counts: Counts | None = None) -> float:
        return statistic(np.atleast_2d(np.cov(table.T, fweights=counts)))

    return _with_interval(of_covariance, num, num_bootstrap, rng)


def _with_interval(
    statistic: Callable[..., float],
    num: int,
    num_bootstrap: int,
    rng: np.random.Generator | None,
    remark: str = "",
) -> Score:
    """The score of `statistic`, a function of counts that is at least 0."""
    value = statistic()
    resamples = num_bootstrap if np.isfinite(value) else 0
    rng = np.random.default_rng(0) if rng is None else rng
    interval = bootstrap_interval(value, statistic, num, rng, resamples, (0, np.inf))
    how = f"95 %, {resamples} bootstrap resamples of the images{remark}"
    return Score(value, interval, {}, {"num_samples": num, "interval": how})


def _total_correlation(covariance: Floats) -> float:
    active = np.flatnonzero(np.diag(covariance) > 0)
    scale = np.sqrt(np.diag(covariance)[active])
    correlation = covariance[np.ix_(active, active)] / np.outer(scale, scale)
    # det of the correlations is det S / prod S_jj, and does not depend on the latents' scales.
    if np.linalg.matrix_rank(correlation, hermitian=True) < len(active):
        return np.inf
    return max(0.0, -0.5 * float(np.linalg.slogdet(correlation)[1]))


def _wasserstein(covariance: Floats) -> float:
    scale = np.sqrt(np.diag(covariance))
    eigenvalues = np.linalg.eigvalsh(covariance * np.outer(scale, scale))
    root_trace = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    return max(0.0, 2 * float(np.trace(covariance) - root_trace))


def _normalised_wasserstein(covariance: Floats) -> float:
    trace = float(np.trace(covariance))
    return _wasserstein(covariance) / trace if trace > 0 else 0.0


@dataclass(frozen=True)
class Unsupervised(CodesMetric):
    """Dependence between the latents of a model, as in Locatello et al. 2019, without factors.

    Scores "gaussian_total_correlation" and "mutual_information_score" (nats),
    "wasserstein_correlation" and "wasserstein_correlation_normalised".

    Args:
        num_samples: images drawn with replacement.
        num_bins: bins per latent, for the mutual information.
    """

    name = "unsupervised"
    needs_factors = False
    higher_is_better = None
    num_samples: int = 10_000
    num_bins: int = 20

    def scores(self, codes: ArrayLike, **options: Any) -> dict[str, Score]:
        correlation, bins = wasserstein_correlation, self.num_bins
        return {
            "gaussian_total_correlation": gaussian_total_correlation(codes, **options),
            "wasserstein_correlation": correlation(codes, **options),
            "wasserstein_correlation_normalised": correlation(codes, normalised=True, **options),
            "mutual_information_score": pairwise_mutual_information(
                codes, num_bins=bins, **options
            ),
        }
