"""Dependence between latents, which needs no factors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require
from vaelab.metrics.base import CodesMetric, Score
from vaelab.metrics.factor_dataset import require_codes, require_two_latents
from vaelab.metrics.mutual_information import discretize, mutual_information

Floats = NDArray[np.float64]


def gaussian_total_correlation(codes: ArrayLike) -> Score:
    """Total correlation of the normal distribution with the codes' covariance S, in nats.

        KL(N(m, S) || N(m, diag S)) = 1/2 (sum_j log S_jj - log det S)

    Locatello et al. 2019, "Challenging common assumptions in the unsupervised learning of
    disentangled representations", sec. 4, https://arxiv.org/abs/1811.12359. Latents that never vary
    are left out, since they are independent of everything; infinite where one of the others is a
    linear function of the rest.

    Args:
        codes: (N, L), N >= 10 L.

    Raises:
        UserError: codes not finite, or fewer than 10 rows per latent.
    """
    return _of_covariance(codes, _total_correlation)


def wasserstein_correlation(codes: ArrayLike, *, normalised: bool = False) -> Score:
    """Squared 2-Wasserstein distance of the codes' normal from that with independent latents.

        W = 2 tr S - 2 tr (D^1/2 S D^1/2)^1/2,    S the codes' covariance, D = diag S

    in the units of the codes squared; normalised: W / tr S, in [0, 2] and 0 where tr S = 0.
    Locatello et al. 2019, sec. 4, https://arxiv.org/abs/1811.12359, and its code. Latents that
    never vary add nothing.

    Args:
        codes: (N, L), N >= 10 L.

    Raises:
        UserError: codes not finite, or fewer than 10 rows per latent.
    """
    statistic = _normalised_wasserstein if normalised else _wasserstein
    return _of_covariance(codes, statistic)


def pairwise_mutual_information(codes: ArrayLike, *, num_bins: int = 20) -> Score:
    """Mean mutual information of two different latents in nats: sum_{i != j} I_ij / (L (L - 1)).

    Plug-in estimates in `num_bins` bins of equal width. Locatello et al. 2019, sec. 4,
    https://arxiv.org/abs/1811.12359. For independent latents the bias is up to
    (num_bins - 1)^2 / 2N, 0.018 nats for 10,000 rows.

    Args:
        codes: (N, L), L >= 2.

    Raises:
        UserError: codes not finite, a single latent, or fewer rows than bins.
    """
    binned = discretize(require_codes(codes), num_bins)
    num_latents = binned.shape[1]
    require_two_latents(num_latents)
    different = ~np.eye(num_latents, dtype=bool)
    value = float(mutual_information(binned, binned)[different].mean())
    return Score(value).with_details(num_samples=len(binned), num_bins=num_bins)


def _of_covariance(codes: ArrayLike, statistic: Callable[[Floats], float]) -> Score:
    table = require_codes(codes).astype(np.float64)
    num, num_latents = table.shape
    require(
        num >= 10 * num_latents,
        f"codes expects at least {10 * num_latents} rows for the covariance of {num_latents} "
        f"latents, got {num}; raise num_samples.",
    )
    # After this, unlike after a rounded mean, a constant latent is exactly 0.
    table = table - np.median(table, axis=0)
    value = statistic(np.atleast_2d(np.cov(table.T)))
    return Score(value).with_details(num_samples=num)


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
    bounds = (0.0, np.inf)
    num_samples: int = 10_000
    num_bins: int = 20

    def scores(self, codes: ArrayLike, **_: Any) -> dict[str, Score]:
        return {
            "gaussian_total_correlation": gaussian_total_correlation(codes),
            "wasserstein_correlation": wasserstein_correlation(codes),
            "wasserstein_correlation_normalised": wasserstein_correlation(codes, normalised=True),
            "mutual_information_score": pairwise_mutual_information(codes, num_bins=self.num_bins),
        }
