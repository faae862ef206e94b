"""Dependence between latents, which needs no factors."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require
from vaelab.metrics.base import Metric, Score, bootstrap_interval, with_code_suffix
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.factor_dataset import checked_codes
from vaelab.metrics.mutual_information import discretize, mutual_information
from vaelab.seeding import derive_seed

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def gaussian_total_correlation(
    codes: ArrayLike, *, num_bootstrap: int = 200, rng: np.random.Generator | None = None
) -> Score:
    """Total correlation of the normal distribution with the codes' covariance S, in nats.

        KL(N(m, S) || N(m, diag S)) = 1/2 (sum_j log S_jj - log det S)

    Locatello et al. 2019, sec. 4. Latents that never vary are left out, since they are independent
    of everything; infinite, and without interval, where one of the others is a linear function of
    the rest.

    Args:
        codes: (N, L), N >= 10 L.
        num_bootstrap: resamples of the rows for the interval; 0 for none.

    Raises:
        UserError: codes not finite, or fewer than 10 rows a latent.
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
    Locatello et al. 2019, sec. 4 and its code. Latents that never vary add nothing.

    Args:
        codes: (N, L), N >= 10 L.
        num_bootstrap: resamples of the rows for the interval; 0 for none.

    Raises:
        UserError: codes not finite, or fewer than 10 rows a latent.
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

    Plug-in estimates in `num_bins` bins of equal width (Locatello et al. 2019, sec. 4). For
    independent latents the bias is up to (num_bins - 1)^2 / 2N = 0.018 nats of 10,000 rows.

    Args:
        codes: (N, L), L >= 2.
        num_bootstrap: resamples of the rows for the interval (bins are kept); 0 for none.

    Raises:
        UserError: codes not finite, a single latent, or fewer rows than bins.
    """
    binned = discretize(codes, num_bins)
    num_latents = binned.shape[1]
    require(num_latents > 1, "mutual information of latents expects at least 2 latents, got 1.")
    different = ~np.eye(num_latents, dtype=bool)

    def mean(counts: Counts | None = None) -> float:
        return float(mutual_information(binned, binned, counts)[different].mean())

    score = _with_interval(mean, len(binned), num_bootstrap, rng, ", bins kept")
    return replace(score, settings=score.settings | {"num_bins": num_bins})


def _of_covariance(
    codes: ArrayLike,
    statistic: Callable[[Floats], float],
    num_bootstrap: int,
    rng: np.random.Generator | None,
) -> Score:
    table = checked_codes(codes).astype(np.float64)
    num, num_latents = table.shape
    require(
        num >= 10 * num_latents,
        f"a covariance of {num_latents} latents expects at least {10 * num_latents} samples, got "
        f"{num}; raise num_samples.",
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
    details: str = "",
) -> Score:
    """The score of `statistic`, a function of counts that is at least 0."""
    value = statistic()
    resamples = num_bootstrap if np.isfinite(value) else 0
    rng = np.random.default_rng(0) if rng is None else rng
    interval = bootstrap_interval(value, statistic, num, rng, resamples, (0, np.inf))
    settings: dict[str, int | float | str] = {
        "num_samples": num,
        "interval": f"95 %, {resamples} bootstrap resamples of the images{details}",
    }
    return Score(value, interval, settings=settings)


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


class Unsupervised(Metric):
    """Dependence between a run's codes, as in Locatello et al. 2019, without factors.

    Scores "gaussian_total_correlation" and "mutual_information_score" (nats),
    "wasserstein_correlation" and "wasserstein_correlation_normalised".

    Args:
        num_samples: images drawn with replacement.
        num_bins: for each latent, for the mutual information.
        codes: "mean" of q(z|x), or "sampled" from it: scores end in "_sampled_codes".
        num_bootstrap: resamples for the intervals; 0 for none.
        seed: of the drawn images.
    """

    needs_factors = False
    higher_is_better = None

    def __init__(
        self,
        num_samples: int = 10_000,
        num_bins: int = 20,
        codes: str = "mean",
        num_bootstrap: int = 200,
        seed: int = 0,
    ):
        self.num_samples, self.num_bins, self.codes = num_samples, num_bins, codes
        self.num_bootstrap, self.seed = num_bootstrap, seed

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        """The scores of the encoded's model."""
        rng = np.random.default_rng(derive_seed("metrics", "unsupervised", self.seed))
        rows = rng.integers(len(encoded.images), size=self.num_samples)
        codes = encoded.codes(rows, self.codes, rng)
        shared: Any = {"num_bootstrap": self.num_bootstrap, "rng": rng}
        scores = {
            "gaussian_total_correlation": gaussian_total_correlation(codes, **shared),
            "wasserstein_correlation": wasserstein_correlation(codes, **shared),
            "wasserstein_correlation_normalised": wasserstein_correlation(
                codes, normalised=True, **shared
            ),
            "mutual_information_score": pairwise_mutual_information(
                codes, num_bins=self.num_bins, **shared
            ),
        }
        return with_code_suffix(scores, self.codes)
