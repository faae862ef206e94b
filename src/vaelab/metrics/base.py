"""The contracts of a metric: its score, the configured class that computes it, its interval."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vaelab.data.factors import Factors
from vaelab.errors import UserError, require, require_choice
from vaelab.metrics.encoded_dataset import CODES, AnyCodes, EncodedDataset
from vaelab.metrics.intervals import repeat_interval
from vaelab.models import VAE
from vaelab.seeding import derive_seed

Floats = NDArray[np.float64]


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
    min_factors: how many of these at least.
    needs_density: whether it needs a density q(z|x), which an autoencoder does not have.
    needs_classes: whether it needs a conditional model.
    higher_is_better: None where neither direction is.
    """

    needs_factors: bool = True
    min_factors: ClassVar[int] = 1
    needs_density: bool = False
    needs_classes: bool = False
    higher_is_better: bool | None = True

    def supports(self, model: VAE) -> bool:
        """Whether the metric is defined for the model's posterior and prior."""
        has_density = model.posterior.has_density or not self.needs_density
        return has_density and (model.condition is not None or not self.needs_classes)

    def require_factors(self, factors: Factors, name: str) -> None:
        """Raise a `UserError` for factors that the metric `name` is not defined for."""
        num = len(factors.varying)
        require(
            num >= self.min_factors or not self.needs_factors,
            f"{name} expects at least {self.min_factors} factors that vary, got {num}; add one, or "
            "use a metric for which one is enough, such as mig.",
        )

    @abstractmethod
    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        """Scores by name; a function of the encoded model and its data alone."""


@dataclass(frozen=True, kw_only=True)
class RepeatedMetric(Metric):
    """A metric of the codes, and of the factors if it needs them, of images drawn at random.

    Its scores are those of one draw. Their intervals come from `num_repeats` further draws, see
    `repeat_interval`: they cover the choice of the images and, where something is fitted to them,
    the fit.

    name: of the metric; it seeds the metric's own random stream.
    bounds: of its scores, at which the intervals are cut.

    Args:
        codes: "mean" of q(z|x), or "sampled" from it, which ends the names of the scores in
            "_sampled_codes".
        num_repeats: further draws behind the intervals, at least 2; 0 for no intervals.
        seed: of the images drawn and of sampled codes.
    """

    name: ClassVar[str]
    bounds: ClassVar[tuple[float, float]] = (-np.inf, np.inf)

    codes: str = "mean"
    num_repeats: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        require_choice("codes", self.codes, CODES)
        require(
            self.num_repeats == 0 or self.num_repeats >= 2,
            f"num_repeats expects 0 (no interval) or at least 2, got {self.num_repeats}; 20 is "
            "usual.",
        )

    @abstractmethod
    def draw(self, encoded: AnyCodes, rng: np.random.Generator) -> dict[str, Score]:
        """Scores by name of images drawn from `rng`."""

    def __call__(self, encoded: AnyCodes) -> dict[str, Score]:
        rng = metric_rng(self.name, self.seed)
        scores = self.draw(encoded, rng)
        repeats = [self.draw(encoded, rng) for _ in range(self.num_repeats)]
        how = f"95 %, Student's t over {len(repeats)} further draws of as many images"
        scores = {
            name: replace(
                score,
                interval=repeat_interval(
                    score.value, [repeat[name].value for repeat in repeats], self.bounds
                ),
            ).with_details(interval=how if repeats else "none")
            for name, score in scores.items()
        }
        return with_code_suffix(scores, self.codes)


@dataclass(frozen=True, kw_only=True)
class CodesMetric(RepeatedMetric):
    """A `RepeatedMetric` of images drawn independently of each other, with replacement.

    A new metric is a function and a few lines:

        @dataclass(frozen=True)
        class MIG(CodesMetric):
            name = "mig"
            num_samples: int = 10_000
            num_bins: int = 20

            def scores(self, codes, factors, **options):
                return {"mig": mig(codes, factors, num_bins=self.num_bins, names=options["names"])}
    """

    @property
    @abstractmethod
    def num_samples(self) -> int:
        """How many images are drawn, with replacement."""

    @abstractmethod
    def scores(self, *arrays: Any, **options: Any) -> dict[str, Score]:
        """Scores by name.

        Args:
            arrays: codes (num_samples, L) and, where needs_factors, factors (num_samples, F).
            options: rng and, where needs_factors, the names of the factors.
        """

    def draw(self, encoded: AnyCodes, rng: np.random.Generator) -> dict[str, Score]:
        rows = rng.integers(len(encoded.images), size=self.num_samples)
        options: dict[str, Any] = {"rng": rng}
        factors = []
        if self.needs_factors:
            factors, options["names"] = [encoded.factors[rows]], encoded.factor_names
        return self.scores(encoded.codes(rows, self.codes, rng), *factors, **options)


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


def without_intervals(metric: Metric) -> Metric:
    """The same metric, whose scores have no intervals where these would take longer."""
    settings = {name: 0 for name in ("num_repeats", "num_bootstrap") if hasattr(metric, name)}
    return replace(metric, **settings) if settings else metric  # type: ignore[type-var]


def metric_rng(name: str, seed: int) -> np.random.Generator:
    """The random stream of a metric, which no other metric shares."""
    return np.random.default_rng(derive_seed("metrics", name, seed))


def with_code_suffix(scores: Mapping[str, Score], codes: str) -> dict[str, Score]:
    """Scores with their codes in the details and, where these are samples, in their names."""
    suffix = "" if codes == "mean" else f"_{codes}_codes"
    return {name + suffix: score.with_details(codes=codes) for name, score in scores.items()}


def require_applicable(
    metrics: Mapping[str, AnyMetric], factors: Factors | None, model: VAE | None = None
) -> None:
    """Reject metrics that need factors, a density q(z|x) or classes where there are none.

    Args:
        metrics: by name.
        factors: of the data, None where it has none.
        model: None to look at the data alone.

    Raises:
        UserError: naming them, or factors for which a metric is not defined.
    """
    single = {name: metric for name, metric in metrics.items() if isinstance(metric, Metric)}
    lacking_factors = [name for name, metric in single.items() if metric.needs_factors]
    if lacking_factors and factors is None:
        raise UserError(
            f"{', '.join(lacking_factors)} expects ground-truth factors of the images, got data "
            "without (labels are none); use data with factors, such as dsprites or your own images "
            "with a file of factors, or metrics that need none, such as unsupervised."
        )
    if factors is not None:
        require_factors(single, factors)
    lacking_density = [name for name, metric in single.items() if metric.needs_density]
    if lacking_density and model is not None and not model.posterior.has_density:
        raise UserError(
            f"{', '.join(lacking_density)} expects a posterior with a density, got one without, "
            "whose KL is infinite; use a Gaussian posterior, or the metrics elbo and "
            "reconstruction_error, which then give distortion and squared error."
        )
    lacking_classes = [name for name, metric in single.items() if metric.needs_classes]
    if lacking_classes and model is not None and model.condition is None:
        raise UserError(
            f"{', '.join(lacking_classes)} expects a conditional model, got one of p(x); train one "
            "with condition=label, on data with labels."
        )


def find_inapplicable(
    metrics: Mapping[str, AnyMetric], factors: Factors | None, model: VAE
) -> list[str]:
    """A sentence for each metric that `require_applicable` would reject."""
    sentences = []
    for name, metric in metrics.items():
        try:
            require_applicable({name: metric}, factors, model)
        except UserError as error:
            sentences.append(str(error))
    return sentences


def require_factors(metrics: Mapping[str, AnyMetric], factors: Factors) -> None:
    """Reject metrics that are not defined for the factors of the data.

    Raises:
        UserError: naming the first of them.
    """
    for name, metric in metrics.items():
        if isinstance(metric, Metric):
            metric.require_factors(factors, name)


def mean_over_factors(values: Floats, names: Sequence[str]) -> Score:
    """The mean over factors of a statistic (F,), with its breakdown."""
    return Score(float(values.mean()), None, dict(zip(names, values.tolist(), strict=True)))
