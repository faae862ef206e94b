"""Interventional robustness score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require_range
from vaelab.metrics.base import CodesMetric, Score
from vaelab.metrics.factor_dataset import FactorDataset

Floats = NDArray[np.float64]


def irs(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    diff_quantile: float = 0.99,
    names: Sequence[str] = (),
) -> Score:
    """Interventional robustness: how little a latent moves while its factor stays.

        IRS = sum_j w_j max_k (1 - D_jk / w_j) / sum_j w_j,     w_j = max |z_j - E z_j|,
        D_jk = mean over the values v of factor k of Q(|z_j - E[z_j | v_k = v]| given v_k = v)

    with Q the quantile `diff_quantile` (1 in the paper). Suter et al. 2019, "Robustly disentangled
    causal mechanisms: validating deep representations for interventional robustness", sec. 4,
    https://arxiv.org/abs/1811.00007, as disentanglement_lib estimates it, except that there factors
    are cut into 20 bins, which merges values of dSprites' orientation and positions. Here factors
    keep their values. Latents that never vary are left out; where none varies the score is 0.

    Args:
        codes: (N, L).
        factors: (N, F), the value of each factor, of any type.
        names: of the factors.

    Returns:
        A score of at most 1, below 0 only where a factor makes a latent skewed to opposite sides;
        `details["num_active"]` is the number of latents that vary.

    Raises:
        UserError: codes not finite, or a factor that never varies.
    """
    require_range("diff_quantile", diff_quantile, above=0, at_most=1, example=0.99)
    dataset = FactorDataset.of(codes, factors, names)
    latents = dataset.all_codes().T
    latents = latents[np.ptp(latents, axis=1) > 0]
    return Score(_irs(latents, dataset.factors.T, diff_quantile)).with_details(
        num_samples=len(dataset),
        diff_quantile=diff_quantile,
        factors="own values, not binned",
        num_active=len(latents),
    )


def _irs(latents: Floats, columns: NDArray[np.integer], diff_quantile: float) -> float:
    """(L, N) latents and (F, N) factors -> the score."""
    largest = np.abs(latents - latents.mean(axis=1, keepdims=True)).max(axis=1, initial=0)
    if largest.sum() == 0:
        return 0.0
    within = np.stack([_deviations(latents, values, diff_quantile) for values in columns])
    # w_j times max_k (1 - D_jk / w_j) is w_j - min_k D_jk: no division by a w_j near 0.
    return float((largest - within.min(axis=0)).sum() / largest.sum())


def _deviations(latents: Floats, values: NDArray[np.integer], diff_quantile: float) -> Floats:
    """D of one factor with every latent (L,)."""
    counts = np.bincount(values)
    grouped = latents[:, np.argsort(values, kind="stable")]
    total = np.zeros(len(latents))
    for group in np.split(grouped, np.cumsum(counts[counts > 0])[:-1], axis=1):
        total += _quantile(np.abs(group - group.mean(axis=1, keepdims=True)), diff_quantile)
    return total / (counts > 0).sum()


def _quantile(rows: Floats, q: float) -> Floats:
    """np.quantile(rows, q, axis=1), in a third of its time on small groups."""
    position = q * (rows.shape[1] - 1)
    low = int(position)
    high = min(low + 1, rows.shape[1] - 1)
    ranked = np.partition(rows, (low, high), axis=1)
    return ranked[:, low] + (position - low) * (ranked[:, high] - ranked[:, low])


@dataclass(frozen=True)
class IRS(CodesMetric):
    """`irs` of a model's codes; score "irs".

    Args:
        num_samples: images drawn with replacement.
        diff_quantile: of the deviations from the mean; 1 in the paper.
    """

    name = "irs"
    bounds = (-1.0, 1.0)
    num_samples: int = 10_000
    diff_quantile: float = 0.99

    def scores(self, codes: ArrayLike, factors: ArrayLike, **options) -> dict[str, Score]:
        quantile = self.diff_quantile
        return {"irs": irs(codes, factors, diff_quantile=quantile, names=options["names"])}
