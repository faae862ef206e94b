"""The contracts of a metric: its score, the configured class that computes it, its interval."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vaelab.errors import UserError, require, require_choice
from vaelab.metrics.encoded_dataset import CODES, EncodedDataset
from vaelab.models import VAE
from vaelab.seeding import derive_seed

LEVEL = 0.95

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """A number with what a reader needs in order to trust it.

    Attributes:
        value: the number; `float(score)` is the same.
        interval: its 95 % interval, or None where none was asked for.
        breakdown: the number of each factor or of each latent (z0, z1, ...), by name.
        details: what it depends on (num_samples, codes, ...) and results beside it.
    """

    value: float
    interval: tuple[float, float] | None = None
    breakdown: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, int | float | str] = field(default_factory=dict)

    def __float__(self) -> float:
        return self.value

    def with_details(self, **details: int | float | str) -> "Score":
        """The same score with more details."""
        return replace(self, details={**self.details, **details})


class Metric(ABC):
    """A configured metric of a model: what it needs, and its scores by name.

    needs_factors: whether it needs the ground-truth factors of the images.
    needs_density: whether it needs a density q(z|x), which an autoencoder does not have.
    higher_is_better: None where neither direction is.
    """

    needs_factors: bool = True
    needs_density: bool = False
    higher_is_better: bool | None = True

    def supports(self, model: VAE) -> bool:
        """Whether the metric is defined for the model's posterior and prior."""
        return model.posterior.has_density or not self.needs_density

    @abstractmethod
    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        """Scores by name; a function of the encoded model and its data alone."""


@dataclass(frozen=True, kw_only=True)
class CodesMetric(Metric):
    """A metric of the codes, and of the factors if it needs them, of images drawn at random.

    A new metric is a function and a few lines:

        @dataclass(frozen=True)
        class MIG(CodesMetric):
            name = "mig"
            num_samples: int = 10_000
            num_bins: int = 20

            def scores(self, codes, factors, **options):
                return {"mig": mig(codes, factors, num_bins=self.num_bins, **options)}

    name: of the metric; it seeds the metric's own random stream.

    Args:
        codes: "mean" of q(z|x), or "sampled" from it, which ends the names of the scores in
            "_sampled_codes".
        num_bootstrap: resamples for the interval; 0 for none.
        seed: of the images drawn, of sampled codes and of the interval.
    """

    name: ClassVar[str]

    codes: str = "mean"
    num_bootstrap: int = 200
    seed: int = 0

    @property
    @abstractmethod
    def num_samples(self) -> int:
        """How many images are drawn, with replacement."""

    @abstractmethod
    def scores(self, *arrays: Any, **options: Any) -> dict[str, Score]:
        """Scores by name.

        Args:
            arrays: codes (num_samples, L) and, where needs_factors, factors (num_samples, F).
            options: num_bootstrap and rng and, where needs_factors, the names of the factors.
        """

    def __post_init__(self) -> None:
        require_choice("codes", self.codes, CODES)

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        rng = metric_rng(self.name, self.seed)
        rows = rng.integers(len(encoded.images), size=self.num_samples)
        options: dict[str, Any] = {"num_bootstrap": self.num_bootstrap, "rng": rng}
        factors = []
        if self.needs_factors:
            factors, options["names"] = [encoded.factors[rows]], encoded.factor_names
        scores = self.scores(encoded.codes(rows, self.codes, rng), *factors, **options)
        return with_code_suffix(scores, self.codes)


@dataclass(frozen=True)
class TrainTestMetric(CodesMetric):
    """A `CodesMetric` that fits a model to some images and tests it on others.

    Args:
        num_train: images to fit to.
        num_test: images to test on.
    """

    num_train: int = 10_000
    num_test: int = 5_000

    @property
    def num_samples(self) -> int:
        return self.num_train + self.num_test


class MultiRunMetric(ABC):
    """A configured metric that compares runs: models of the same settings and different seeds."""

    higher_is_better: bool | None = True

    @abstractmethod
    def __call__(self, encoded_datasets: Sequence[EncodedDataset]) -> list[dict[str, Score]]:
        """Scores by name, for every run.

        Raises:
            UserError: fewer than 2 runs, or runs on different images.
        """


AnyMetric = Metric | MultiRunMetric


def metric_rng(name: str, seed: int) -> np.random.Generator:
    """The random stream of a metric, which no other metric shares."""
    return np.random.default_rng(derive_seed("metrics", name, seed))


def with_code_suffix(scores: Mapping[str, Score], codes: str) -> dict[str, Score]:
    """Scores with their codes in the details and, where these are samples, in their names."""
    suffix = "" if codes == "mean" else f"_{codes}_codes"
    return {name + suffix: score.with_details(codes=codes) for name, score in scores.items()}


def require_applicable(
    metrics: Mapping[str, AnyMetric], has_factors: bool, has_density: bool = True
) -> None:
    """Reject metrics that need ground-truth factors, or a density q(z|x), where there is none.

    Raises:
        UserError: naming them.
    """
    single = {name: metric for name, metric in metrics.items() if isinstance(metric, Metric)}
    lacking_factors = [name for name, metric in single.items() if metric.needs_factors]
    if lacking_factors and not has_factors:
        raise UserError(
            f"{', '.join(lacking_factors)} expects ground-truth factors of the images, got data "
            "without (labels are none); use data with factors, such as dsprites, or metrics that "
            "need none, such as likelihood and unsupervised."
        )
    lacking_density = [name for name, metric in single.items() if metric.needs_density]
    if lacking_density and not has_density:
        raise UserError(
            f"{', '.join(lacking_density)} expects a posterior with a density, got one without, "
            "whose KL is infinite; use a Gaussian posterior, or the metrics elbo and "
            "reconstruction_error, which then give distortion and squared error."
        )


def bootstrap_interval(
    value: float,
    statistic: Callable[[Counts], float],
    num_rows: int,
    rng: np.random.Generator,
    num_bootstrap: int,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[float, float] | None:
    """95 % bootstrap interval of a statistic of independent rows.

    statistic(counts) is the value on rows repeated `counts` times; counts (num_rows,) are
    multinomial. See `centred_interval` for the interval made of them. Efron and Tibshirani 1993,
    "An introduction to the bootstrap", ch. 13.

    Args:
        num_bootstrap: number of resamples; 0 for no interval.
        bounds: of the statistic; the interval is cut there.
    """
    uniform = np.full(num_rows, 1 / num_rows)
    draws = [statistic(rng.multinomial(num_rows, uniform)) for _ in range(num_bootstrap)]
    return centred_interval(value, np.asarray(draws), bounds)


def centred_interval(
    value: float,
    draws: Floats,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    scale: float = 1.0,
) -> tuple[float, float] | None:
    """value + scale * (the 2.5 % and 97.5 % quantiles of the draws - their mean), or None.

    Centred on the value, because statistics such as plug-in mutual information have a bias that
    resampling adds once more. `scale` is sqrt(m / n) for draws from m of n rows.
    """
    require(
        len(draws) != 1,
        "num_bootstrap expects 0 (no interval) or at least 2, got 1; 200 is usual.",
    )
    if len(draws) == 0:
        return None
    tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    low, high = (value + scale * (np.quantile(draws, tails) - draws.mean())).tolist()
    # The value is always inside: a few skewed draws may leave it out.
    return max(min(low, value), bounds[0]), min(max(high, value), bounds[1])


def mean_over_factors(
    each_factor: Callable[[Counts], Floats],
    num_rows: int,
    names: Sequence[str],
    rng: np.random.Generator,
    num_bootstrap: int,
    bounds: tuple[float, float] = (0, 1),
) -> Score:
    """The mean over factors of a statistic, with its bootstrap interval and its breakdown.

    Args:
        each_factor: multiplicities of the rows (num_rows,) -> the statistic of each factor (F,).
        names: of the factors.
    """
    values = each_factor(np.ones(num_rows, np.int64))
    mean = float(values.mean())
    interval = bootstrap_interval(
        mean,
        lambda counts: float(each_factor(counts).mean()),
        num_rows,
        rng,
        num_bootstrap,
        bounds,
    )
    return Score(mean, interval, dict(zip(names, values.tolist(), strict=True)))
