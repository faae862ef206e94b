"""Plug-in entropy and mutual information of integer columns, and the binning of codes.

Used by MIG, modularity, the mutual information of latents and the heat map.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require, require_range
from vaelab.metrics.factor_dataset import FactorDataset

Integers = NDArray[np.integer]
Floats = NDArray[np.float64]


def discretize(codes: NDArray[np.floating], num_bins: int = 20) -> NDArray[np.int64]:
    """Each latent cut into `num_bins` bins of equal width between its own minimum and maximum.

    The bins are closed on the left, except for the last, which holds the maximum: the numbers of
    np.digitize(x, np.histogram(x, num_bins)[1][:-1]) from 0, as in disentanglement_lib. A constant
    latent is a single bin, hence has no information.

    Args:
        codes: (N, L), finite.

    Returns:
        Bin numbers from 0: (N, L).

    Raises:
        UserError: fewer rows than bins.
    """
    columns, num = np.asarray(codes, np.float64).T, len(codes)
    require_range("num_bins", num_bins, at_least=2, integer=True, example=20)
    require(
        num >= num_bins,
        f"codes expects at least {num_bins} rows for as many bins, got {num}; raise num_samples or "
        "lower num_bins.",
    )
    # Not np.histogram, which rejects a latent that varies by a few units in the last place.
    edges = (np.linspace(x.min(), x.max(), num_bins + 1)[:-1] for x in columns)
    binned = [np.digitize(x, e) - 1 for x, e in zip(columns, edges, strict=True)]
    return np.stack(binned, axis=1)


def mutual_information(a: Integers, b: Integers, counts: Integers | None = None) -> Floats:
    """Plug-in mutual information of each column of `a` with each of `b`, in nats.

        I(a; b) = sum_{u,v} p(u, v) log(p(u, v) / (p(u) p(v))),   p the observed frequencies

    Its bias is about (values of a - 1)(values of b - 1) / 2N (Miller 1955, "Note on the bias of
    information estimates"). Exactly 0 where one of the two is constant.

    Args:
        a: (N, A) whole numbers from 0.
        b: (N, B) whole numbers from 0.
        counts: (N,), how often each row counts, once by default.

    Returns:
        (A, B), at least 0.
    """
    joint = _joint_counts(a, b, counts)
    log, num = np.log(np.maximum(joint, 1)), joint[0, 0].sum()
    log_a, log_b = (np.log(np.maximum(joint.sum(axis), 1)) for axis in (3, 2))
    # In this order the logarithms cancel exactly for a constant column.
    ratio = (log - log_b[:, :, None, :]) + (np.log(num) - log_a[:, :, :, None])
    return np.maximum((joint * ratio).sum((2, 3)) / num, 0)


def entropy(b: Integers, counts: Integers | None = None) -> Floats:
    """Plug-in entropy of each column, -sum_v p(v) log p(v), in nats: (N, B) -> (B,)."""
    values = [np.bincount(column, weights=counts) for column in b.T]
    return np.array([_entropy(v[v > 0]) for v in values])


def mutual_information_matrix(codes: ArrayLike, factors: ArrayLike, num_bins: int = 20) -> Floats:
    """Mutual information of each latent with each factor in nats: (N, L), (N, F) -> (L, F).

    Codes are cut into bins by `discretize`; factors keep their own values.
    """
    dataset = FactorDataset.of(codes, factors)
    return mutual_information(discretize(dataset.all_codes(), num_bins), dataset.factors)


def _joint_counts(a: Integers, b: Integers, counts: Integers | None) -> Floats:
    """How often each pair of values occurs: (A, B, values of a, values of b)."""
    num_b, size_a, size_b = b.shape[1], int(a.max()) + 1, int(b.max()) + 1
    # One number for each (column of b, value of a, value of b), and one count of them all.
    offsets = np.ascontiguousarray(b.T + (np.arange(num_b) * size_a * size_b)[:, None]).ravel()
    weights = None if counts is None else np.tile(counts.astype(float), num_b)
    length = num_b * size_a * size_b
    joint = [
        np.bincount(np.tile(column, num_b) + offsets, weights, length)
        for column in a.T.astype(np.int64) * size_b
    ]
    return np.stack(joint).reshape(-1, num_b, size_a, size_b).astype(np.float64)


def _entropy(counts: NDArray) -> float:
    num = counts.sum()
    return float((counts * (np.log(num) - np.log(counts))).sum() / num)
