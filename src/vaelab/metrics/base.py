"""What every metric returns, and the bootstrap behind its interval."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vaelab.errors import UserError, require

if TYPE_CHECKING:
    from vaelab.metrics.encoded_dataset import EncodedDataset
    from vaelab.models import VAE

LEVEL = 0.95


@dataclass(frozen=True)
class Score:
    """One number with what a reader needs in order to trust it.

    Attributes:
        value: the number; `float(score)` is the same.
        interval: its 95 % interval, or None where none was asked for.
        breakdown: the number for each factor by name, where it is made of such.
        settings: what it depends on: num_samples, num_bins, codes, scikit_learn, ...
    """

    value: float
    interval: tuple[float, float] | None = None
    breakdown: dict[str, float] = field(default_factory=dict)
    settings: dict[str, int | float | str] = field(default_factory=dict)

    def __float__(self) -> float:
        return self.value


class Metric(ABC):
    """A configured metric: what it needs of a run, and its scores by name.

    needs_factors: whether it needs the ground-truth factors of the images.
    needs_images: whether it needs the model and images, and not codes alone.
    needs_density: whether it needs a density q(z|x), which an autoencoder has none of.
    higher_is_better: None where neither is.
    """

    needs_factors: bool = True
    needs_images: bool = False
    needs_density: bool = False
    higher_is_better: bool | None = True

    def supports(self, model: "VAE") -> bool:
        """Whether the metric is defined for the model's posterior and prior."""
        return model.posterior.has_density or not self.needs_density

    @abstractmethod
    def __call__(self, encoded: "EncodedDataset") -> dict[str, Score]:
        """Scores by name; a function of the encoded's model and data alone."""


def bootstrap_interval(
    value: float,
    statistic: Callable[[NDArray[np.int64]], float],
    num_rows: int,
    rng: np.random.Generator,
    num_bootstrap: int,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[float, float] | None:
    """95 % bootstrap interval of a statistic of independent rows.

    statistic(counts) is the value on rows repeated `counts` times; counts (num_rows,) are
    multinomial (Efron and Tibshirani 1993, sec. 13). See `centred_interval` for the interval.

    Args:
        num_bootstrap: number of resamples; 0 for no interval.
        bounds: of the statistic; the interval is cut there.
    """
    uniform = np.full(num_rows, 1 / num_rows)
    draws = [statistic(rng.multinomial(num_rows, uniform)) for _ in range(num_bootstrap)]
    return centred_interval(value, np.asarray(draws), bounds)


def centred_interval(
    value: float,
    draws: NDArray[np.float64],
    bounds: tuple[float, float] = (-np.inf, np.inf),
    scale: float = 1.0,
) -> tuple[float, float] | None:
    """value + scale * (the 2.5 % and 97.5 % quantiles of the draws - their mean), or None.

    Centred on the value, because statistics such as plug-in mutual information have a bias that
    resampling adds once more. `scale` is sqrt(m / n) for draws from m of n rows.
    """
    require(len(draws) != 1, "num_bootstrap expects 0 (no interval) or at least 2, got 1.")
    if len(draws) == 0:
        return None
    tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    low, high = (value + scale * (np.quantile(draws, tails) - draws.mean())).tolist()
    # The value itself always lies inside: a skewed handful of draws may leave it out.
    return max(min(low, value), bounds[0]), min(max(high, value), bounds[1])


def with_code_suffix(scores: Mapping[str, Score], codes: str) -> dict[str, Score]:
    """Scores with their codes in the settings, and in their names where these are samples."""
    suffix = {"mean": "", "sampled": "_sampled_codes"}[codes]
    return {
        name + suffix: replace(score, settings=score.settings | {"codes": codes})
        for name, score in scores.items()
    }


class MultiRunMetric(ABC):
    """A configured metric that compares runs: models of the same settings and different seeds."""

    higher_is_better: bool | None = True

    @abstractmethod
    def __call__(self, encoded_datasets: Sequence["EncodedDataset"]) -> list[dict[str, Score]]:
        """Scores by name, for every run.

        Raises:
            UserError: fewer than 2 runs, or runs on different images.
        """


AnyMetric = Metric | MultiRunMetric


def require_applicable(
    metrics: Mapping[str, AnyMetric], has_factors: bool, has_density: bool = True
) -> None:
    """Refuse metrics that need ground-truth factors, or a density q(z|x), where there is none.

    Raises:
        UserError: naming them.
    """
    of_a_model = {name: metric for name, metric in metrics.items() if isinstance(metric, Metric)}
    needing = [name for name, metric in of_a_model.items() if metric.needs_factors]
    if needing and not has_factors:
        raise UserError(
            f"{', '.join(needing)} expects ground-truth factors of the images, got data without "
            "(labels are none); train on data=dsprites, or choose from "
            "metrics=[likelihood,unsupervised]."
        )
    needing = [name for name, metric in of_a_model.items() if metric.needs_density]
    if needing and not has_density:
        raise UserError(
            f"{', '.join(needing)} expects a posterior with a density, got one without, whose KL "
            "is infinite; train with posterior=gaussian, or choose "
            "metrics=[elbo,reconstruction_error], which then gives distortion and squared error."
        )
