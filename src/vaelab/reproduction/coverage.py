"""How often the 95 % intervals of metrics hold the truth, over repeated draws (target E7)."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaelab.data.rendering import FACTORS
from vaelab.errors import require_choice
from vaelab.load import load_run
from vaelab.metrics import Metric, PrecomputedCodes, RepeatedMetric, Score
from vaelab.metrics.base import metric_rng
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.intervals import repeat_interval
from vaelab.reproduction.checks import factor_grid, known_factors

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
NUM_SUBSETS = 20  # sets of further draws per draw
REAL = "real"


def interval_coverage(
    path: Path,
    metrics: Mapping[str, Metric],
    kinds: Mapping[str, Sequence[str]],
    num_draws: int,
    num_values: Mapping[str, int] | None = None,
) -> dict[str, float]:
    """kind/score -> the share of 95 % intervals that hold the expectation of the score.

    A `RepeatedMetric` is drawn num_draws times; the intervals of every draw are those of further
    draws chosen among the others, 20 sets of them. An `ImagesMetric` is computed for as many
    seeds. The expectation is the mean over all draws.

    Args:
        path: of a run on the grid of dSprites, whose posterior means are the codes "real".
        metrics: by name.
        kinds: names of metrics for "real" and for each kind of `adverse_codes`.
        num_values: of a metric, the most values of a factor, to which its own are merged in order.
            Trees take a time in proportion to them.
    """
    encoded, numbers = load_run(path).encoded_dataset(), {}
    for kind, names in kinds.items():
        grid = np.arange(len(encoded.images))
        table = encoded.means(grid) if kind == REAL else adverse_codes(kind)
        for name in names:
            metric = metrics[name]
            if isinstance(metric, RepeatedMetric):
                factors = _merge_values(factor_grid(), (num_values or {}).get(name))
                codes = PrecomputedCodes(table, factors, FACTORS)
                found = coverage_of_repeats(metric, codes, num_draws)
            else:
                found = _coverage_over_seeds(metric, encoded, num_draws)
            for score, share in found.items():
                log.info("%s/%s %.3f", kind, score, share)
                numbers[f"{kind}/{score}"] = share
    return numbers | {"smallest": min(numbers.values())}


def adverse_codes(kind: str) -> NDArray[np.float32]:
    """Codes of all dSprites images, on which intervals may fail: (737280, 10).

    mixed: the factors in [-1, 1] and five standard normals, rotated at random;
    heavy: the factors and noise of random scale, exp(1.5 n) with n normal, so that the range of a
        latent hangs on a few images;
    noise: standard normals.

    Raises:
        UserError: another kind.
    """
    require_choice("kind", kind, ("mixed", "heavy", "noise"))
    rng = np.random.default_rng(0)
    known = known_factors(factor_grid())
    normal = rng.standard_normal((len(known), 10))
    if kind == "mixed":
        normal[:, :5] = known
        codes = normal @ np.linalg.qr(rng.standard_normal((10, 10)))[0]
    elif kind == "heavy":
        codes = 0.2 * normal * np.exp(1.5 * rng.standard_normal(normal.shape))
        codes[:, :5] += known
    else:
        codes = normal
    return codes.astype(np.float32)


def _merge_values(factors: NDArray[np.int64], num: int | None) -> NDArray[np.int64]:
    """Factors of at most `num` values, each of neighbouring values."""
    sizes = factors.max(axis=0) + 1
    return factors if num is None else np.where(sizes > num, factors * num // sizes, factors)


def coverage_of_repeats(
    metric: RepeatedMetric, codes: PrecomputedCodes, num_draws: int
) -> dict[str, float]:
    """Score -> share of the intervals of its draws that hold the mean of the draws.

    Args:
        num_draws: more than `metric.num_repeats`.
    """
    rng = metric_rng("coverage", 0)
    draws = _by_name(lambda _: metric.draw(codes, rng), num_draws)

    def hits(name: str) -> Iterator[bool]:
        for i, value in enumerate(draws[name]):
            rest = np.delete(draws[name], i)
            for _ in range(NUM_SUBSETS):
                repeats = rng.choice(rest, metric.num_repeats, replace=False)
                yield _holds(repeat_interval(value, repeats, metric.bounds), draws[name])

    return {name: float(np.mean(list(hits(name)))) for name in draws}


def _coverage_over_seeds(
    metric: Metric, encoded: EncodedDataset, num_draws: int
) -> dict[str, float]:
    """Score -> share of the intervals of its seeds that hold the mean over seeds."""
    results = [replace(metric, seed=seed)(encoded) for seed in range(num_draws)]  # type: ignore[type-var]
    values = _by_name(lambda i: results[i], num_draws)
    return {
        name: float(np.mean([_holds(result[name].interval, column) for result in results]))
        for name, column in values.items()
    }


def _by_name(scores: Callable[[int], Mapping[str, Score]], num: int) -> dict[str, Floats]:
    rows = [scores(i) for i in range(num)]
    return {name: np.array([row[name].value for row in rows]) for name in rows[0]}


def _holds(interval: tuple[float, float] | None, values: Floats) -> bool:
    """Whether the mean of the values is in the interval, up to rounding."""
    mean = values.mean()
    return interval is not None and interval[0] - 1e-12 <= mean <= interval[1] + 1e-12
