"""The importance-weighted bound on log p(x), for any number of samples."""

import math

import numpy as np
import torch
from torch import Tensor

from vaelab.metrics.base import Metric, Score
from vaelab.metrics.per_image import decoded_at_once, evaluation_images, mean_score
from vaelab.metrics.probe import Probe
from vaelab.models import VAE
from vaelab.seeding import derive_seed, random_stream


def importance_weighted_bound(
    model: VAE, x: Tensor, num_samples: int, *, seed: int = 0, max_decoded: int | None = None
) -> Tensor:
    """The bound L_K on log p(x) in nats per image, (B,) in float64.

        L_K(x) = log 1/K sum_k p(x, z_k) / q(z_k|x),    z_k ~ q(z|x)

    In expectation ELBO = L_1 <= L_K <= log p(x), rising with K. Burda et al. 2016,
    "Importance weighted autoencoders", eq. 8 and theorem 1.

    Args:
        model: in evaluation mode.
        x: (B, C, H, W).
        num_samples: K.
        seed: of the samples; those of image i depend on (seed, i, K) alone.
        max_decoded: how many z are decoded at once; changes speed and memory, not the noise.
    """
    rows = [
        importance_log_weights(model, image[None], num_samples, seed, i, max_decoded)
        for i, image in enumerate(x)
    ]
    return log_mean_weight(torch.stack(rows))


@torch.no_grad()
def importance_log_weights(
    model: VAE,
    x: Tensor,
    num_samples: int,
    seed: int,
    number: int,
    max_decoded: int | None = None,
) -> Tensor:
    """log p(x, z_k) / q(z_k|x) of one image (1, C, H, W), drawn by (seed, number): (K,) float64."""
    with torch.autocast(x.device.type, enabled=False):
        q_z, p_z = model.encode(x), model.prior()
        # All z of an image in one call: parts drawn apart would differ from the whole.
        with random_stream("metrics", "importance_weighted", seed, number):
            z = q_z.sample(torch.Size([num_samples]))
        log_ratio = p_z.log_prob(z).double() - q_z.log_prob(z).double()
        parts = z.split(max_decoded or decoded_at_once(model))
        log_likelihood = torch.cat([model.decode(part).log_prob(x) for part in parts])
    return (log_ratio + log_likelihood.double()).squeeze(1)


def log_mean_weight(log_weights: Tensor) -> Tensor:
    """log 1/K sum_k w_k from log weights (*batch, K): (*batch)."""
    return log_weights.logsumexp(-1) - math.log(log_weights.shape[-1])


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """(sum_k w_k)^2 / sum_k w_k^2, from 1 to K: (*batch, K) -> (*batch).

    Near 1 a single sample makes the estimate, which then lies well below log p(x). Kong 1992.
    """
    return (2 * log_weights.logsumexp(-1) - (2 * log_weights).logsumexp(-1)).exp()


class ImportanceWeightedBound(Metric):
    """L_K averaged over evaluation images, see `importance_weighted_bound`.

    Args:
        num_samples: K; 5,000 is usual for a negative log likelihood.
        num_images: how many evaluation images; None for all. The first ones of a seeded order.
        seed: of images, samples and interval.
        num_bootstrap: resamples for the interval; 0 for none.

    Settings of the score: bits_per_dim, -L_K / (ln 2 * C*H*W), and the median over images of the
    effective sample size.
    """

    needs_factors = False
    needs_images = True

    def __init__(
        self,
        num_samples: int = 5000,
        num_images: int | None = 100,
        seed: int = 0,
        num_bootstrap: int = 200,
    ):
        self.num_samples, self.num_images = num_samples, num_images
        self.seed, self.num_bootstrap = seed, num_bootstrap

    def __call__(self, probe: Probe) -> dict[str, Score]:
        rows = evaluation_images(probe, self.num_images, self.seed)
        bounds, sizes = np.empty(len(rows)), np.empty(len(rows))
        for i in probe.progress(range(len(rows))):
            x = probe.x(rows[i : i + 1])
            log_weights = importance_log_weights(probe.model, x, self.num_samples, self.seed, i)
            bounds[i] = float(log_mean_weight(log_weights))
            sizes[i] = float(effective_sample_size(log_weights))
        rng = np.random.default_rng(derive_seed("metrics", "importance_weighted", self.seed))
        settings: dict[str, int | float | str] = {
            "num_samples": self.num_samples,
            "split": probe.split,
            "bits_per_dim": -float(bounds.mean()) / (math.log(2) * probe.model.num_pixels),
            "median_effective_sample_size": float(np.median(sizes)),
        }
        score = mean_score(bounds, rng, self.num_bootstrap, settings)
        return {"importance_weighted_bound": score}
