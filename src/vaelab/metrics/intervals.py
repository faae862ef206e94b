"""95 % intervals of scores: from further draws, of means, of proportions, by the bootstrap."""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require

LEVEL = 0.95

Floats = NDArray[np.float64]


def repeat_interval(
    value: float,
    draws: ArrayLike,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[float, float] | None:
    """95 % interval of the expectation of a score, from repetitions on fresh images.

        value -+ t_{R-1} s,    s the standard deviation of the R draws (divisor R - 1)

    For normal scores, (value - E value) / s has Student's t distribution with R - 1 degrees of
    freedom exactly, for any R >= 2. The interval says what to expect of as many images drawn again,
    including the bias of the score at this number.

    Args:
        value: the score of its own draw.
        draws: (R,) the same score on R other draws; no interval for R = 0, or where one is not
            finite.
    """
    values = np.asarray(draws, np.float64)
    if len(values) == 0 or not np.isfinite([value, *values]).all():
        return None
    half = _t_quantile(len(values) - 1) * float(values.std(ddof=1))
    return _cut(value - half, value + half, bounds)


def mean_interval(
    *samples: Floats, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[float, float] | None:
    """95 % interval of the sum of the means of independent samples, each (n,); None for n = 1.

    sum_s mean_s -+ t sqrt(sum_s var_s / n_s),    t of the smallest n_s - 1 degrees of freedom
    """
    fewest = min(map(len, samples))
    if fewest < 2:
        return None
    mean = sum(float(sample.mean()) for sample in samples)
    error = sum(float(sample.var(ddof=1)) / len(sample) for sample in samples) ** 0.5
    half = _t_quantile(fewest - 1) * error
    return _cut(mean - half, mean + half, bounds)


def bootstrap_interval(
    value: float, draws: Floats, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[float, float] | None:
    """value + (the 2.5 % and 97.5 % quantiles of its bootstrap draws (R,) - their mean), or None.

    For functions of means over many rows. Centred on the value, because plug-in estimates have a
    bias that resampling adds once more. Efron and Tibshirani 1993, "An introduction to the
    bootstrap", ch. 13.
    """
    require(
        len(draws) != 1,
        "num_bootstrap expects 0 (no interval) or at least 2, got 1; 200 is usual.",
    )
    if len(draws) == 0:
        return None
    tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    low, high = (value + np.quantile(draws, tails) - draws.mean()).tolist()
    # The value is always inside: a few skewed draws may leave it out.
    return _cut(min(low, value), max(high, value), bounds)


def proportion_interval(num: int, total: int) -> tuple[float, float]:
    """95 % interval of a proportion num / total by Wilson's score test, never empty at 0 or 1.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference",
    https://doi.org/10.1080/01621459.1927.10502953
    """
    from scipy.stats import binomtest

    low, high = binomtest(num, total).proportion_ci(LEVEL, method="wilson")
    return float(low), float(high)


@cache
def _t_quantile(degrees_of_freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, degrees_of_freedom))


def _cut(low: float, high: float, bounds: tuple[float, float]) -> tuple[float, float]:
    return max(low, bounds[0]), min(high, bounds[1])
