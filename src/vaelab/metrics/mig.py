"""Mutual information gap."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require
from vaelab.metrics.base import Metric, Score, bootstrap_interval, with_code_suffix
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.factor_dataset import FactorDataset
from vaelab.metrics.mutual_information import discretize, entropy, mutual_information
from vaelab.seeding import derive_seed


def mig(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    num_bins: int = 20,
    num_bootstrap: int = 200,
    rng: np.random.Generator | None = None,
    names: Sequence[str] = (),
) -> Score:
    """Mutual information gap of codes in equal-width bins.

        MIG = 1/F sum_k (I_jk - max_{l != j} I_lk) / H(v_k),   I_lk = I(z_l; v_k), j = argmax I_lk

    Chen et al. 2018, "Isolating sources of disentanglement in VAEs", eq. 6, with the estimator of
    Locatello et al. 2019: each latent in `num_bins` bins, plug-in mutual information. 20 bins can't
    tell 32 or 40 values apart: a perfect linear code of dSprites scores 0.895.

    Args:
        codes: (N, L), L >= 2.
        factors: (N, F), the value of each factor, of any type.
        num_bootstrap: resamples of the rows for the interval (bins are kept); 0 for none.
        names: of the factors.

    Returns:
        A score in [0, 1], with the gap of each factor.

    Raises:
        UserError: a single latent, N < num_bins, codes not finite, or a factor that never varies.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    dataset = FactorDataset.of(codes, factors, names)
    binned, values = discretize(codes, num_bins), dataset.factors
    require(binned.shape[1] > 1, "MIG expects codes of at least 2 latents, got 1.")
    gaps = _gaps(binned, values)
    value = float(gaps.mean())
    interval = bootstrap_interval(
        value,
        lambda counts: float(_gaps(binned, values, counts).mean()),
        len(binned),
        rng,
        num_bootstrap,
        (0, 1),
    )
    settings: dict[str, int | float | str] = {
        "num_samples": len(binned),
        "num_bins": num_bins,
        "interval": f"95 %, {num_bootstrap} bootstrap resamples of the images, bins kept",
    }
    return Score(value, interval, dict(zip(dataset.names, gaps.tolist(), strict=True)), settings)


def _gaps(
    binned: NDArray[np.integer],
    factors: NDArray[np.integer],
    counts: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """The gap of each factor over its entropy (F,)."""
    second, first = np.sort(mutual_information(binned, factors, counts), axis=0)[-2:]
    # A resample may hold one value of a factor only: then both are 0.
    return (first - second) / np.maximum(entropy(factors, counts), np.finfo(float).tiny)


class MIG(Metric):
    """`mig` of a run's codes, as in Locatello et al. 2019; score "mig".

    Args:
        num_samples: images drawn with replacement.
        num_bins: for each latent.
        codes: "mean" of q(z|x), or "sampled" from it: score "mig_sampled_codes".
        num_bootstrap: resamples for the interval; 0 for none.
        seed: of the drawn images.
    """

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
        """The score of the encoded's model."""
        rng = np.random.default_rng(derive_seed("metrics", "mig", self.seed))
        dataset = encoded.factor_dataset(self.codes, rng)
        rows = dataset.draw(self.num_samples, rng)
        score = mig(
            dataset.codes(rows),
            dataset.factors[rows],
            num_bins=self.num_bins,
            num_bootstrap=self.num_bootstrap,
            rng=rng,
            names=dataset.names,
        )
        return with_code_suffix({"mig": score}, self.codes)
