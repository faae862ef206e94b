"""Statistics over runs: intervals, comparisons of means, rank correlations, variance shares."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require

Floats = NDArray[np.float64]
MIN_RANKED = 3  # rows; two rows always correlate with 1 or -1
TOGETHER, SEED = "together", "seed"


class Share(NamedTuple):
    """A share of the variance: eta^2 (`raw`) and epsilon^2 (`corrected`)."""

    raw: float
    corrected: float


def bootstrap(
    values: ArrayLike,
    statistic: Callable[..., Any] = np.mean,
    *,
    num_bootstrap: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile interval of a statistic over runs: quantiles of it on resampled runs.

        [q_((1 - level) / 2), q_((1 + level) / 2)] of statistic(n values drawn with replacement)

    Efron and Tibshirani 1993, "An introduction to the bootstrap", sec. 13.3. It is too narrow with
    few values: the resampled mean has a variance of (n - 1) / n times the unbiased estimate, and
    percentiles reach less far than Student's t. For normal values, a 95 % interval covers the mean
    with probability 80 % at n = 4, 84 % at 5 and 90 % at 10. Of the median it reaches from the
    smallest to the largest value for n <= 5, which covers it with probability 1 - 2^(1 - n) for
    any density: 75 % at n = 3, 87 % at 4 and 94 % at 5. Intervals of
    metrics over images (metrics.base) are centred instead, because resampling doubles the bias of
    plug-in estimates; means and medians over runs have none.

    scipy.stats.bootstrap draws resamples at random; with few runs all of them are enumerated here,
    so that the interval is exact and needs no seed.

    Args:
        values: (n,), one per run, finite.
        statistic: a function of an array and `axis`, such as np.mean and np.median.
        num_bootstrap: number of resamples; where there are no more distinct ones (n <= 8 for
            10,000), all of them are used with their probabilities, and `seed` has no effect.

    Returns:
        (low, high), or None for fewer than two values.

    Raises:
        UserError: values that are not one finite number per run.
    """
    array = np.asarray(values, np.float64)
    require(
        array.ndim == 1 and bool(np.isfinite(array).all()),
        f"bootstrap expects one finite number per run, got shape {array.shape} with "
        f"{int((~np.isfinite(array)).sum())} not finite; leave those runs out.",
    )
    if len(array) < 2:
        return None
    rows, weights = _resamples(len(array), num_bootstrap, seed)
    draws = statistic(array[rows], axis=1)
    order = np.argsort(draws)
    reached = np.cumsum(weights[order]) / weights.sum()
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    low, high = draws[order][np.searchsorted(reached, tails - 1e-12)]  # sums of weights round
    return float(low), float(high)


@lru_cache(maxsize=16)  # the settings of a sweep have the same few numbers of runs
def _resamples(num: int, num_bootstrap: int, seed: int) -> tuple[NDArray[np.int64], Floats]:
    """Rows drawn with replacement (R, num), and the weight of each draw (R,)."""
    if math.comb(2 * num - 1, num) > num_bootstrap:
        rng = np.random.default_rng(seed)
        return rng.integers(num, size=(num_bootstrap, num)), np.ones(num_bootstrap)
    rows = np.array(list(combinations_with_replacement(range(num), num)))
    repeats = [math.prod(map(math.factorial, np.bincount(row).tolist())) for row in rows]
    return rows, 1 / np.array(repeats)


def tukey_p_values(samples: Sequence[ArrayLike], reference: int) -> Floats | None:
    """Tukey's test of the mean of one sample against the mean of each other sample.

        q_i = |mean_i - mean_r| / sqrt(MS_within / 2 (1 / n_i + 1 / n_r)),
        p_i = P(studentized range of k means with N - k degrees of freedom > q_i)

    It assumes normal noise of one variance, and holds for the best of k samples chosen after the
    fact: the probability of any false difference among all pairs is at most that of the test.
    Tukey's honestly significant difference, with Kramer's term for unequal sizes
    (https://www.itl.nist.gov/div898/handbook/prc/section4/prc471.htm). scipy.stats.tukey_hsd tests
    all k (k - 1) / 2 pairs, and rejects samples of one value, which are compared here by the
    variance of the others.

    Args:
        samples: k arrays of finite values, one per run.
        reference: index of the sample that the others are compared with.

    Returns:
        (k,) p-values, 1 at `reference`; None where no sample has two values, so that the noise is
        unknown.
    """
    from scipy.stats import studentized_range

    arrays = [np.asarray(sample, np.float64) for sample in samples]
    sizes = np.array([len(array) for array in arrays])
    num_free = int((sizes - 1).sum())
    if num_free == 0:
        return None
    means = np.array([array.mean() for array in arrays])
    within = sum(float(((array - array.mean()) ** 2).sum()) for array in arrays) / num_free
    error = np.sqrt(within / 2 * (1 / sizes + 1 / sizes[reference]))
    gaps = np.abs(means - means[reference])
    p = np.where(gaps > 0, 0.0, 1.0)  # without any noise, every difference is real
    if within > 0:
        p = np.asarray(studentized_range.sf(gaps / error, len(arrays), num_free))
    p[reference] = 1.0
    return p


def rank_correlation(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rho over the rows where both are finite; ties get their mean rank.

    Returns:
        In [-1, 1], or nan where fewer than three rows are left or one side is constant.
    """
    from scipy.stats import spearmanr

    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    if len(a) < MIN_RANKED or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)


def rank_correlations(columns: Mapping[str, ArrayLike]) -> tuple[Floats, NDArray[np.int64]]:
    """`rank_correlation` of every two of C columns, each over the rows that both have.

    Returns:
        (rho (C, C), number of rows (C, C)).
    """
    arrays = [np.asarray(column, np.float64) for column in columns.values()]
    rho = np.eye(len(arrays))
    num = np.zeros(rho.shape, np.int64)
    for i, a in enumerate(arrays):
        for j, b in enumerate(arrays[: i + 1]):
            rho[i, j] = rho[j, i] = rank_correlation(a, b)
            num[i, j] = num[j, i] = (np.isfinite(a) & np.isfinite(b)).sum()
    return rho, num


def variance_shares(values: ArrayLike, factors: Mapping[str, Sequence[Any]]) -> dict[str, Share]:
    """The share of the variance over runs explained by each option, by all together, by the seed.

    With N runs, SS_total = sum (y - mean)^2, and for an option of k values
    SS = sum_k n_k (mean_k - mean)^2:

        raw        eta^2     = SS / SS_total
        corrected  epsilon^2 = (SS - (k - 1) MS_seed) / SS_total,
                   MS_seed   = SS within settings / (N - number of settings)

    A setting is one combination of option values, over its seeds. For one option epsilon^2 is
    1 - MS_within / MS_total. The correction matters: noise alone gives eta^2 a mean of
    (k - 1) / (N - 1) and epsilon^2 a mean of 0, so that epsilon^2 may be negative.
    "together" is the share of the settings, which includes interactions of options; "seed" is the
    remainder, 1 - together. In a balanced grid the main effects, their interactions and the seed
    add up to 1; in other grids, correlated options share what they explain.

    Locatello et al. 2019, "Challenging common assumptions in the unsupervised learning of
    disentangled representations", sec. 5.4, https://arxiv.org/abs/1811.12359 (there eta^2); Kelley
    1935, "An unbiased correlation ratio measure", for epsilon^2.

    Args:
        values: (N,); rows that aren't finite are left out.
        factors: option -> its N values.

    Returns:
        Option -> Share, then "together" and "seed". All nan where nothing varies, and where no
        setting has two runs, since the seed and the options are then confounded.

    Raises:
        UserError: an option without a value for each run, or one called "together" or "seed".
    """
    array = np.asarray(values, np.float64)
    for name, labels in factors.items():
        require(
            len(labels) == len(array) and name not in (TOGETHER, SEED),
            f"factors expects {len(array)} values per option, one per run, and no option called "
            f"{TOGETHER} or {SEED}, got {len(labels)} of {name}; leave the seed out.",
        )
    kept = np.flatnonzero(np.isfinite(array)).tolist()
    y = array[kept]
    groups = {name: _encode_labels([labels[i] for i in kept]) for name, labels in factors.items()}
    settings = _encode_labels(
        [tuple(column[i] for column in groups.values()) for i in range(len(y))]
    )
    num_settings = int(settings.max(initial=-1)) + 1
    total = _sum_of_squares(y, np.zeros(len(y), np.int64))
    if num_settings == len(y) or not total > 0:
        return dict.fromkeys((*factors, TOGETHER, SEED), Share(np.nan, np.nan))
    error = _sum_of_squares(y, settings) / (len(y) - num_settings)

    def share(labels: NDArray[np.int64]) -> Share:
        explained = total - _sum_of_squares(y, labels)
        return Share(explained / total, (explained - labels.max() * error) / total)

    shares = {name: share(labels) for name, labels in groups.items()}
    together = share(settings)
    return shares | {TOGETHER: together, SEED: Share(1 - together.raw, 1 - together.corrected)}


def _encode_labels(labels: Sequence[Any]) -> NDArray[np.int64]:
    """Labels as integers from 0; by their text, since lists are not hashable."""
    places: dict[str, int] = {}
    return np.array([places.setdefault(repr(label), len(places)) for label in labels], np.int64)


def _sum_of_squares(y: Floats, labels: NDArray[np.int64]) -> float:
    """The sum of squared distances from the mean of each group."""
    if len(y) == 0:
        return 0.0
    means = np.bincount(labels, y) / np.bincount(labels)
    return float(((y - means[labels]) ** 2).sum())
