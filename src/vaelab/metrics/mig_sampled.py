"""The mutual information gap on samples of q(z|x), as Chen et al. defined it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import UserError, nearest, require
from vaelab.metrics.aggregate_posterior import (
    checked_normals,
    condensed,
    draw,
    in_threads,
    log_marginal,
    normals_of,
)
from vaelab.metrics.base import Metric, Score, bootstrap_interval
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.factor_dataset import FactorDataset
from vaelab.seeding import derive_seed


def mig_sampled(
    mean: ArrayLike,
    std: ArrayLike,
    factors: ArrayLike,
    *,
    names: Sequence[str] = (),
    num_samples: int = 10000,
    rng: np.random.Generator | None = None,
    num_bootstrap: int = 200,
) -> Score:
    """The mutual information gap of diagonal normals q(z|x), no bins involved.

        I(z_j; v_k) = H(z_j) - H(z_j|v_k) = E log q(z_j|v_k) / q(z_j)
        MIG = 1/F sum_k (largest I(z_j; v_k) over j - second largest) / H(v_k)

    q(z_j) is the average of q(z_j|x_n) over all N images, and q(z_j|v_k) that over the images with
    that value. The expectation is an average over num_samples draws, the same for both entropies.
    (Chen et al.'s code draws 10,000 for H(z_j) and 10,000 for each value of each factor, all of
    them apart, which estimates the same with more noise.) Both densities are those of `condensed`
    mixtures: the information is off by less than 0.001 nats.
    Chen et al. 2018, "Isolating sources of disentanglement in VAEs", sec. 4.1 and app. C; not
    comparable with `mig`, which bins posterior means.

    Args:
        mean, std: (N, L), L at least 2.
        factors: (N, F).
        names: of the factors.
        num_samples: draws of z in all.

    Returns:
        The score with a row a factor. Interval: bootstrap over the draws.

    Raises:
        UserError: arrays of other shapes or values, a constant factor, or a single latent.
    """
    mu, sigma = checked_normals(mean, std)
    require(mu.shape[1] >= 2, "a gap between two latents expects latent_dim >= 2, got 1.")
    require(num_samples >= 1, f"num_samples expects at least 1 draw, got {num_samples}.")
    dataset = FactorDataset.of(mu, factors, names)
    rng = np.random.default_rng(0) if rng is None else rng
    log_ratios = _log_ratios(mu, sigma, dataset, num_samples, rng)
    entropies = np.array([_entropy(column) for column in dataset.factors.T])

    def gaps(counts: NDArray) -> NDArray[np.float64]:
        information = np.tensordot(counts / num_samples, log_ratios, 1)
        ordered = np.sort(information, axis=1)
        return (ordered[:, -1] - ordered[:, -2]) / entropies

    breakdown = gaps(np.ones(num_samples))
    value = float(breakdown.mean())
    interval = bootstrap_interval(
        value, lambda counts: float(gaps(counts).mean()), num_samples, rng, num_bootstrap, (0, 1)
    )
    rows = dict(zip(dataset.names, breakdown.tolist(), strict=True))
    settings: dict[str, int | float | str] = {
        "num_samples": num_samples,
        "num_images": len(mu),
        "codes": "sampled",
        "factors": ", ".join(dataset.names),
        "interval": "95 % bootstrap over draws of z",
    }
    return Score(value, interval, rows, settings)


def _log_ratios(
    mean: NDArray,
    std: NDArray,
    dataset: FactorDataset,
    num_samples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """log q(z_j|v_k) - log q(z_j) of each draw: (M, F, L)."""
    rows, z = draw(mean, std, num_samples, rng)
    groups = [
        (k, np.flatnonzero(column[rows] == value), np.flatnonzero(column == value))
        for k, column in enumerate(dataset.factors.T)
        for value in range(dataset.sizes[k])
    ]

    def of_latent(j: int) -> NDArray[np.float64]:
        aggregate = _log_density(z[:, j], mean[:, j], std[:, j])
        ratios = np.repeat(-aggregate[:, None], dataset.num_factors, axis=1)
        for k, drawn, images in groups:
            if len(drawn):
                ratios[drawn, k] += _log_density(z[drawn, j], mean[images, j], std[images, j])
        return ratios

    return np.stack(in_threads(of_latent, mean.shape[1]), axis=2)


def _log_density(z: NDArray, mean: NDArray, std: NDArray) -> NDArray[np.float64]:
    return log_marginal(z, *condensed(mean, std))


def _entropy(values: NDArray[np.integer]) -> float:
    p = np.unique(values, return_counts=True)[1] / len(values)
    return float(-(p * np.log(p)).sum())


class MIGSampled(Metric):
    """`mig_sampled` of a model with posterior=gaussian.

    Args:
        num_samples: draws of z.
        num_images: how many of all images make the densities; None for all. A seeded choice.
        factors: names of the factors to average over, or "all". Chen et al. took those of dSprites
            but shape: [scale, orientation, posX, posY].
        seed: of images, draws and interval.
        num_bootstrap: resamples for the interval; 0 for none.
    """

    needs_density = True

    def __init__(
        self,
        num_samples: int = 10000,
        num_images: int | None = None,
        factors: str | Sequence[str] = "all",
        seed: int = 0,
        num_bootstrap: int = 200,
    ):
        self.num_samples, self.num_images, self.factors = num_samples, num_images, factors
        self.seed, self.num_bootstrap = seed, num_bootstrap

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        rng = np.random.default_rng(derive_seed("metrics", "mig_sampled", self.seed))
        dataset = encoded.factor_dataset("mean", rng)
        known = dataset.names
        chosen = known if self.factors == "all" else tuple(self.factors)
        for name in chosen:
            if name not in known:
                raise UserError(
                    f"factors expects names among {', '.join(known)}, got {name!r}; nearest: "
                    f"{nearest(name, known) or 'none'}."
                )
        rows, mean, std = normals_of(encoded, self.num_images, rng)
        columns = [known.index(name) for name in chosen]
        score = mig_sampled(
            mean,
            std,
            dataset.factors[np.ix_(rows, columns)],
            names=chosen,
            num_samples=self.num_samples,
            rng=rng,
            num_bootstrap=self.num_bootstrap,
        )
        return {"mig_sampled": score}
