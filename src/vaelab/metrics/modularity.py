"""Modularity: whether each latent is informative about one factor alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.metrics.base import Score, TrainTestMetric
from vaelab.metrics.explicitness import explicitness
from vaelab.metrics.factor_dataset import FactorDataset
from vaelab.metrics.mutual_information import discretize, mutual_information


def modularity(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    num_bins: int = 20,
    names: Sequence[str] = (),
) -> Score:
    """Whether each latent is informative about one factor alone.

        1/L sum_j (1 - (sum_k I_jk^2 - max_k I_jk^2) / ((F - 1) max_k I_jk^2)),   I_jk = I(z_j; v_k)

    with plug-in mutual information in `num_bins` bins of equal width. Ridgeway and Mozer 2018,
    "Learning deep disentangled embeddings with the F-statistic loss", sec. 3,
    https://arxiv.org/abs/1802.05312. As in Locatello et al. 2019, https://arxiv.org/abs/1811.12359,
    the mean is over all latents: one that never varies adds 0, but one of noise adds what its
    chance mutual information gives, so that ten latents of noise score 0.68 on dSprites.

    Args:
        codes: (N, L).
        factors: (N, F), F >= 2, the value of each factor, of any type.
        names: of the factors.

    Returns:
        A score in [0, 1].

    Raises:
        UserError: a single factor, N < num_bins, codes not finite, or a factor that never varies.
    """
    dataset = FactorDataset.of(codes, factors, names)
    dataset.require_two_factors()
    binned, values = discretize(dataset.all_codes(), num_bins), dataset.factors

    value = float(_modularity_of_latents(mutual_information(binned, values)).mean())
    return Score(value).with_details(num_samples=len(dataset), num_bins=num_bins)


def _modularity_of_latents(information: NDArray[np.float64]) -> NDArray[np.float64]:
    """(L, F) -> (L,)."""
    square = information**2
    largest = square.max(axis=1)
    others = square.sum(axis=1) - largest
    scale = np.where(largest > 0, largest, 1) * (square.shape[1] - 1)
    return np.where(largest > 0, 1 - others / scale, 0.0)


@dataclass(frozen=True)
class Modularity(TrainTestMetric):
    """`modularity` and `explicitness` of a model's codes, as in Locatello et al. 2019.

    Scores "modularity", of the first `num_train` images, and "explicitness", whose classifiers are
    fitted to them and tested on `num_test` others.

    Args:
        num_bins: bins per latent, for modularity.
    """

    name = "modularity"
    min_factors = 2
    bounds = (0.0, 1.0)
    num_repeats: int = field(default=10, kw_only=True)
    num_bins: int = 20

    def scores(self, codes: NDArray, factors: NDArray, **options) -> dict[str, Score]:
        first = slice(self.num_train)
        bins, names = self.num_bins, options["names"]
        return {
            "modularity": modularity(codes[first], factors[first], num_bins=bins, names=names),
            "explicitness": explicitness(codes, factors, num_train=self.num_train, **options),
        }
