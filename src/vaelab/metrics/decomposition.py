"""The KL of a whole data set as mutual information, total correlation and dimension-wise KL."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.distributions import Distribution

from vaelab.distributions import is_diagonal_normal
from vaelab.errors import require
from vaelab.metrics.aggregate_posterior import (
    LOG_SQRT_2PI,
    checked_normals,
    draw,
    in_threads,
    log_joint,
    log_marginal,
    normals_of,
)
from vaelab.metrics.base import Metric, Score, bootstrap_interval
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.models import VAE
from vaelab.seeding import derive_seed

MIN_SAMPLES = 10


def elbo_decomposition(
    mean: ArrayLike,
    std: ArrayLike,
    *,
    num_samples: int = 2000,
    rng: np.random.Generator | None = None,
    num_bootstrap: int = 200,
) -> dict[str, Score]:
    """The three parts of the average KL of diagonal normals q(z|x) from N(0, I), in nats.

        1/N sum_n KL(q(z|x_n) || p(z))
            = I_q(x; z) + KL(q(z) || prod_j q(z_j)) + sum_j KL(q(z_j) || p(z_j))

    with q(z) = 1/N sum_n q(z|x_n) over all N given. log q(z) and log q(z_j) are exact over the N;
    the expectations over q(z) are averages over num_samples draws z, less what these happened to
    get wrong in log q(z|x) and log p(z), whose averages are known (control variates, fitted by
    least squares). Hence the parts sum to the closed-form KL, and I_q(x; z) <= ln N up to noise.
    Hoffman and Johnson 2016, "ELBO surgery"; Chen et al. 2018, eq. 2.

    Args:
        mean, std: (N, L).
        num_samples: M draws, at least 10.

    Returns:
        kl_closed_form, index_code_mutual_information, total_correlation, dimension_wise_kl; the
        first and the last with a row a latent. Intervals: bootstrap over the draws.

    Raises:
        UserError: arrays of other shapes or values, or too few samples.
    """
    require(
        num_samples >= MIN_SAMPLES,
        f"num_samples expects at least {MIN_SAMPLES} draws of z, got {num_samples}; 2000 is usual.",
    )
    mu, sigma = checked_normals(mean, std)
    rng = np.random.default_rng(0) if rng is None else rng
    parts = _adjusted_parts(mu, sigma, num_samples, rng)
    settings: dict[str, int | float | str] = {"num_samples": num_samples, "num_images": len(mu)}
    kl = _closed_form_kl(mu, sigma)
    scores = {"kl_closed_form": Score(float(kl.sum()), breakdown=_rows(kl), settings=settings)}
    columns = {
        "index_code_mutual_information": (parts[:, 0], (0.0, math.log(len(mu)))),
        "total_correlation": (parts[:, 1], (0.0, np.inf)),
        "dimension_wise_kl": (parts[:, 2:].sum(1), (0.0, np.inf)),
    }
    settings = settings | {"interval": "95 % bootstrap over draws of z"}
    for name, (draws, bounds) in columns.items():
        breakdown = _rows(parts[:, 2:].mean(0)) if name == "dimension_wise_kl" else {}
        interval = _interval(draws, bounds, rng, num_bootstrap)
        scores[name] = Score(float(draws.mean()), interval, breakdown, settings)
    return scores


def _closed_form_kl(mean: NDArray, std: NDArray) -> NDArray[np.float64]:
    """Average KL(N(mean, std^2) || N(0, 1)) of each latent: (L,)."""
    kl = 0.5 * (np.square(mean) + np.square(std) - 1) - np.log(std)
    return kl.mean(0, dtype=np.float64)


def _adjusted_parts(
    mean: NDArray, std: NDArray, num_samples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(M, 2 + L): each draw's part of the information, TC and each latent's KL."""
    rows, z = draw(mean, std, num_samples, rng)
    own = _log_normal(z, mean[rows], std[rows]).sum(1)
    prior = _log_normal(z, 0.0, 1.0)
    joint = log_joint(z, mean, std)
    marginal = np.stack(
        in_threads(lambda j: log_marginal(z[:, j], mean[:, j], std[:, j]), mean.shape[1]),
        axis=1,
    )
    parts = np.column_stack([own - joint, joint - marginal.sum(1), marginal - prior])
    # What the draws' averages of log q(z|x) and log p(z) should be, and are not quite.
    log_q = -np.log(std).sum(1, dtype=np.float64).mean() - mean.shape[1] * (LOG_SQRT_2PI + 0.5)
    second_moment = (np.square(mean) + np.square(std)).sum(1, dtype=np.float64).mean()
    log_p = -0.5 * second_moment - mean.shape[1] * LOG_SQRT_2PI
    controls = np.column_stack([own, prior.sum(1)])
    centred = controls - controls.mean(0)
    slopes = np.linalg.lstsq(centred, parts - parts.mean(0), rcond=None)[0]
    return parts - (controls - [log_q, log_p]) @ slopes


def _log_normal(z: NDArray, mean: NDArray | float, std: NDArray | float) -> NDArray[np.float64]:
    return -0.5 * np.square((z - mean) / std) - np.log(std) - LOG_SQRT_2PI


def _interval(
    draws: NDArray, bounds: tuple[float, float], rng: np.random.Generator, num_bootstrap: int
) -> tuple[float, float] | None:
    num = len(draws)
    return bootstrap_interval(
        float(draws.mean()), lambda n: float(n @ draws / num), num, rng, num_bootstrap, bounds
    )


def _rows(values: NDArray) -> dict[str, float]:
    return {f"z{j + 1}": float(value) for j, value in enumerate(values)}


class Decomposition(Metric):
    """`elbo_decomposition` of a model with posterior=gaussian and prior=standard_normal.

    Args:
        num_images: how many of all images make q(z); None for all. A seeded choice. The mutual
            information is at most ln num_images, so figures of other numbers can't be compared.
        num_samples: draws of z.
        seed: of images, draws and interval.
        num_bootstrap: resamples for the interval; 0 for none.
    """

    needs_factors = False
    needs_density = True
    higher_is_better = None

    def __init__(
        self,
        num_images: int | None = None,
        num_samples: int = 2000,
        seed: int = 0,
        num_bootstrap: int = 200,
    ):
        self.num_images, self.num_samples = num_images, num_samples
        self.seed, self.num_bootstrap = seed, num_bootstrap

    def supports(self, model: VAE) -> bool:
        q_z, p_z = model.distributions()
        return super().supports(model) and _is_standard_normal(p_z) and is_diagonal_normal(q_z)

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        require(
            _is_standard_normal(encoded.model.prior()),
            f"the decomposition of the KL expects prior=standard_normal, got "
            f"{type(encoded.model.latent_prior).__name__}; leave this metric out.",
        )
        rng = np.random.default_rng(derive_seed("metrics", "decomposition", self.seed))
        _, mean, std = normals_of(encoded, self.num_images, rng)
        return elbo_decomposition(
            mean, std, num_samples=self.num_samples, rng=rng, num_bootstrap=self.num_bootstrap
        )


def _is_standard_normal(p_z: Distribution) -> bool:
    return is_diagonal_normal(p_z) and bool((p_z.mean == 0).all() and (p_z.stddev == 1).all())
