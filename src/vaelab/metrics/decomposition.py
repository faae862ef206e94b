"""The KL of a whole data set as mutual information, total correlation and dimension-wise KL."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.distributions import is_diagonal_normal
from vaelab.elbo_statistics import latent_names
from vaelab.errors import require, require_range
from vaelab.metrics.aggregate_posterior import (
    LOG_SQRT_2PI,
    encode_normals,
    log_joint,
    log_marginal,
    map_in_threads,
    require_normals,
    sample_aggregate,
)
from vaelab.metrics.base import Metric, Score, metric_rng
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.intervals import mean_interval
from vaelab.models import VAE

MIN_SAMPLES = 10


def elbo_decomposition(
    mean: ArrayLike,
    std: ArrayLike,
    *,
    num_samples: int = 2000,
    rng: np.random.Generator | None = None,
) -> dict[str, Score]:
    """The three parts of the average KL of diagonal normals q(z|x) from N(0, I), in nats.

        1/N sum_n KL(q(z|x_n) || p(z))
            = I_q(x; z) + KL(q(z) || prod_j q(z_j)) + sum_j KL(q(z_j) || p(z_j))

    with q(z) = 1/N sum_n q(z|x_n) over the N images given. log q(z) and log q(z_j) are exact over
    these N; the expectations over q(z) are averages over num_samples samples z, less their errors
    in log q(z|x) and log p(z), whose averages are known (control variates, fitted by least
    squares). Hence the parts sum to the closed-form KL, and I_q(x; z) <= ln N up to noise.

    Hoffman and Johnson 2016, "ELBO surgery: yet another way to carve up the variational evidence
    lower bound", http://approximateinference.org/accepted/HoffmanJohnson2016.pdf; Chen et al. 2018,
    "Isolating sources of disentanglement in variational autoencoders", eq. 2 (equation number not
    checked), https://arxiv.org/abs/1802.04942.

    Args:
        mean, std: (N, L).
        num_samples: M samples of z, at least 10.

    Returns:
        kl_closed_form, index_code_mutual_information, total_correlation, dimension_wise_kl; the
        first and the last with a breakdown by latent.

    Raises:
        UserError: arrays of other shapes or values, or too few samples.
    """
    require_range("num_samples", num_samples, at_least=MIN_SAMPLES, integer=True, example=2000)
    mu, sigma = require_normals(mean, std)
    rng = np.random.default_rng(0) if rng is None else rng
    names = latent_names(mu.shape[1])
    kl = _closed_form_kl(mu, sigma)
    parts = _adjusted_parts(mu, sigma, num_samples, rng)
    columns = {
        "index_code_mutual_information": (parts[:, 0], (0.0, math.log(len(mu))), {}),
        "total_correlation": (parts[:, 1], (0.0, np.inf), {}),
        "dimension_wise_kl": (
            parts[:, 2:].sum(1),
            (0.0, np.inf),
            dict(zip(names, parts[:, 2:].mean(0).tolist(), strict=True)),
        ),
    }
    scores = {
        "kl_closed_form": Score(
            float(kl.sum()), None, dict(zip(names, kl.tolist(), strict=True))
        ).with_details(num_samples=num_samples, num_images=len(mu))
    }
    for name, (samples, bounds, breakdown) in columns.items():
        interval = mean_interval(samples, bounds=bounds)
        scores[name] = Score(float(samples.mean()), interval, breakdown).with_details(
            num_samples=num_samples,
            num_images=len(mu),
            interval="95 %, Student's t over samples of z",
        )
    return scores


def _closed_form_kl(mean: NDArray, std: NDArray) -> NDArray[np.float64]:
    """Average KL(N(mean, std^2) || N(0, 1)) of each latent: (L,)."""
    kl = 0.5 * (np.square(mean) + np.square(std) - 1) - np.log(std)
    return kl.mean(0, dtype=np.float64)


def _adjusted_parts(
    mean: NDArray, std: NDArray, num_samples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(M, 2 + L): each sample's part of the information, TC and each latent's KL."""
    rows, z = sample_aggregate(mean, std, num_samples, rng)
    own = _log_normal(z, mean[rows], std[rows]).sum(1)
    prior = _log_normal(z, 0.0, 1.0)
    joint = log_joint(z, mean, std)
    marginal = np.stack(
        map_in_threads(lambda j: log_marginal(z[:, j], mean[:, j], std[:, j]), mean.shape[1]),
        axis=1,
    )
    parts = np.column_stack([own - joint, joint - marginal.sum(1), marginal - prior])
    # The exact averages of log q(z|x) and log p(z), which those over the samples only approximate.
    log_q = -np.log(std).sum(1, dtype=np.float64).mean() - mean.shape[1] * (LOG_SQRT_2PI + 0.5)
    second_moment = (np.square(mean) + np.square(std)).sum(1, dtype=np.float64).mean()
    log_p = -0.5 * second_moment - mean.shape[1] * LOG_SQRT_2PI
    controls = np.column_stack([own, prior.sum(1)])
    centred = controls - controls.mean(0)
    slopes = np.linalg.lstsq(centred, parts - parts.mean(0), rcond=None)[0]
    return parts - (controls - [log_q, log_p]) @ slopes


def _log_normal(z: NDArray, mean: NDArray | float, std: NDArray | float) -> NDArray[np.float64]:
    return -0.5 * np.square((z - mean) / std) - np.log(std) - LOG_SQRT_2PI


@dataclass(frozen=True)
class Decomposition(Metric):
    """`elbo_decomposition` of a model with posterior=gaussian and prior=standard_normal.

    q(z) is that of all images where the data has factors, of the evaluation images where not.

    Args:
        num_images: how many of these make q(z); None for all. A seeded choice. The mutual
            information is at most ln num_images, so other numbers of images can't be compared.
        num_samples: samples of z.
        seed: of images and samples.
    """

    needs_factors = False
    needs_density = True
    higher_is_better = None

    num_images: int | None = None
    num_samples: int = 2000
    seed: int = 0

    def supports(self, model: VAE) -> bool:
        q_z, _ = model.distributions()
        return super().supports(model) and _is_standard_normal(model) and is_diagonal_normal(q_z)

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        require(
            _is_standard_normal(encoded.model),
            "the decomposition of the KL expects a standard normal prior, got "
            f"{type(encoded.model.latent_prior).__name__}; leave this metric out.",
        )
        rng = metric_rng("decomposition", self.seed)
        _, mean, std = encode_normals(encoded, self.num_images, rng)
        return elbo_decomposition(mean, std, num_samples=self.num_samples, rng=rng)


def _is_standard_normal(model: VAE) -> bool:
    _, p_z = model.distributions()
    if model.latent_prior.is_conditional or not is_diagonal_normal(p_z):
        return False
    return bool((p_z.mean == 0).all() and (p_z.stddev == 1).all())
