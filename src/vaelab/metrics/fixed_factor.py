"""What the beta-VAE and FactorVAE scores share: points that show which factor was held fixed."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vaelab.data.factors import Factors
from vaelab.errors import require
from vaelab.metrics.base import RepeatedMetric, Score
from vaelab.metrics.encoded_dataset import AnyCodes
from vaelab.metrics.factor_dataset import FactorDataset

ROWS_AT_ONCE = 2**17  # rows whose codes are in memory together

Measure = Callable[[int, int], NDArray[np.floating]]


@dataclass(frozen=True, kw_only=True)
class FixedFactorMetric(RepeatedMetric):
    """The accuracy of a classifier that predicts which factor was held fixed in a set of images.

    name: of the score and of its random stream.

    Args:
        num_train: points to fit to.
        num_eval: points to score on.
        batch_size: images, or pairs of images, per point.
    """

    bounds = (0.0, 1.0)
    min_factors = 2

    num_train: int = 10_000
    num_eval: int = 5_000
    batch_size: int = 64
    num_repeats: int = 10

    def require_factors(self, factors: Factors, name: str) -> None:
        super().require_factors(factors, name)
        images = torch.arange(len(factors))
        for factor in factors.varying:
            require_pairs(factor, factors.values(images, factor).numpy())

    def draw(self, encoded: AnyCodes, rng: np.random.Generator) -> dict[str, Score]:
        return {self.name: self.score(encoded.factor_dataset(self.codes, rng), rng)}

    @abstractmethod
    def score(self, dataset: FactorDataset, rng: np.random.Generator) -> Score:
        """The score of the codes of a dataset."""


def draw_points(
    dataset: FactorDataset,
    num: int,
    rows_per_point: int,
    measure: Measure,
    rng: np.random.Generator,
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Points with a factor each, drawn uniformly: their features (num, L) and factors (num,).

    measure(factor, m) draws the features (m, L) of m points of a factor, of as many at once as
    memory allows.

    Raises:
        UserError: a single factor, too few points, or a value of a factor with a single image.
    """
    dataset.require_two_factors()
    for name, column in zip(dataset.names, dataset.factors.T, strict=True):
        require_pairs(name, column)
    factors = rng.integers(dataset.num_factors, size=num)
    counts = np.bincount(factors, minlength=dataset.num_factors)
    require(
        bool(counts.all()),
        f"num_train and num_eval expect points of each of the {dataset.num_factors} factors, got "
        f"none of some among {num}; set num_train and num_eval higher.",
    )
    chunk = max(1, ROWS_AT_ONCE // rows_per_point)
    for factor, count in enumerate(counts):
        sizes = np.diff([*range(0, count, chunk), count])
        drawn = np.concatenate([measure(factor, int(size)) for size in sizes])
        if factor == 0:
            features = np.empty((num, drawn.shape[1]), drawn.dtype)
        features[factors == factor] = drawn
    return features, factors


def require_pairs(name: str, column: NDArray[np.integer]) -> None:
    """Raise a `UserError` for a value with a single image, which could be paired with itself only.

    Args:
        name: of the factor.
        column: (N,) its values in the images, numbered from 0.
    """
    rarest = int(np.bincount(column).min())
    require(
        rarest > 1,
        f"factors expects at least 2 images of each value of a factor, got {rarest} of a value of "
        f"{name}; give more images, or leave that value out.",
    )


def accuracy(
    predicted: NDArray[np.int64],
    factor: NDArray[np.int64],
    names: Sequence[str],
) -> Score:
    """The share of points whose factor was predicted, of all points and of each factor's."""
    right = predicted == factor
    breakdown = {name: float(right[factor == f].mean()) for f, name in enumerate(names)}
    return Score(float(right.mean()), None, breakdown)
