"""Modularity: whether each latent tells of one factor alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require
from vaelab.metrics.base import Metric, Score, bootstrap_interval, with_code_suffix
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.explicitness import explicitness
from vaelab.metrics.factor_dataset import FactorDataset
from vaelab.metrics.mutual_information import discretize, mutual_information
from vaelab.seeding import derive_seed


def modularity(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    num_bins: int = 20,
    num_bootstrap: int = 200,
    rng: np.random.Generator | None = None,
    names: Sequence[str] = (),
) -> Score:
    """Whether each latent tells of one factor alone.

        1/L sum_j (1 - (sum_k I_jk^2 - max_k I_jk^2) / ((F - 1) max_k I_jk^2)),   I_jk = I(z_j; v_k)

    Ridgeway and Mozer 2018, "Learning deep disentangled embeddings with the F-statistic loss",
    sec. 3; plug-in mutual information in `num_bins` bins of equal width. As in Locatello et al.
    2019 the mean is over all latents: one that never varies adds 0, but one of noise adds
    what its chance informations give, so that ten latents of noise score 0.68 on dSprites. Where
    chance informations make up the score, the interval is up to a third too narrow.

    Args:
        codes: (N, L).
        factors: (N, F), F >= 2, the value of each factor, of any type.
        num_bootstrap: resamples of the rows for the interval (bins are kept); 0 for none.
        names: of the factors.

    Returns:
        A score in [0, 1].

    Raises:
        UserError: a single factor, N < num_bins, codes not finite, or a factor that never varies.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    dataset = FactorDataset.of(codes, factors, names)
    require(dataset.num_factors > 1, "modularity expects at least 2 factors, got 1.")
    binned, values = discretize(codes, num_bins), dataset.factors

    def mean(counts: NDArray[np.int64] | None = None) -> float:
        return float(_modularity_of_latents(mutual_information(binned, values, counts)).mean())

    value = mean()
    interval = bootstrap_interval(value, mean, len(binned), rng, num_bootstrap, (0, 1))
    settings: dict[str, int | float | str] = {
        "num_samples": len(binned),
        "num_bins": num_bins,
        "interval": f"95 %, {num_bootstrap} bootstrap resamples of the images, bins kept",
    }
    return Score(value, interval, settings=settings)


def _modularity_of_latents(information: NDArray[np.float64]) -> NDArray[np.float64]:
    """(L, F) -> (L,)."""
    square = information**2
    largest = square.max(axis=1)
    others = square.sum(axis=1) - largest
    scale = np.where(largest > 0, largest, 1) * (square.shape[1] - 1)
    return np.where(largest > 0, 1 - others / scale, 0.0)


class Modularity(Metric):
    """`modularity` and `explicitness` of a run's codes, as in Locatello et al. 2019.

    Scores "modularity", of the first `num_train` images, and "explicitness".

    Args:
        num_train: images drawn with replacement, to measure modularity and to fit classifiers on.
        num_test: images drawn with replacement, to test the classifiers on.
        num_bins: for each latent, for modularity.
        codes: "mean" of q(z|x), or "sampled" from it: scores end in "_sampled_codes".
        num_bootstrap: resamples for the intervals; 0 for none.
        seed: of the drawn images.
    """

    def __init__(
        self,
        num_train: int = 10_000,
        num_test: int = 5_000,
        num_bins: int = 20,
        codes: str = "mean",
        num_bootstrap: int = 200,
        seed: int = 0,
    ):
        self.num_train, self.num_test, self.num_bins = num_train, num_test, num_bins
        self.codes, self.num_bootstrap, self.seed = codes, num_bootstrap, seed

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        """The scores of the encoded's model."""
        rng = np.random.default_rng(derive_seed("metrics", "modularity", self.seed))
        dataset = encoded.factor_dataset(self.codes, rng)
        rows = dataset.draw(self.num_train + self.num_test, rng)
        codes, factors = dataset.codes(rows), dataset.factors[rows]
        shared: Any = {
            "num_bootstrap": self.num_bootstrap,
            "rng": rng,
            "names": dataset.names,
        }
        first = slice(self.num_train)
        scores = {
            "modularity": modularity(
                codes[first], factors[first], num_bins=self.num_bins, **shared
            ),
            "explicitness": explicitness(codes, factors, num_train=self.num_train, **shared),
        }
        return with_code_suffix(scores, self.codes)
