"""The importance-weighted bound on log p(x), for any number of samples."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.distributions import effective_sample_size, log_mean_weight
from vaelab.elbo_statistics import bits_per_dim
from vaelab.errors import require
from vaelab.metrics.base import Score
from vaelab.metrics.elbo import term_table
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.intervals import mean_interval
from vaelab.metrics.per_image import INTERVAL, ImagesMetric, decoded_at_once
from vaelab.models import VAE
from vaelab.seeding import random_stream


def importance_weighted_bound(
    model: VAE, x: Tensor, num_samples: int, *, seed: int = 0, max_decoded: int | None = None
) -> Tensor:
    """The bound L_K on log p(x) in nats per image, (B,) in float64.

        L_K(x) = log 1/K sum_k p(x, z_k) / q(z_k|x),    z_k ~ q(z|x)

    In expectation ELBO = L_1 <= L_K <= log p(x), rising with K. Burda et al. 2016, "Importance
    weighted autoencoders", eq. 8 and theorem 1 (numbers not checked),
    https://arxiv.org/abs/1509.00519.

    Args:
        model: in evaluation mode.
        x: (B, C, H, W).
        num_samples: K.
        seed: of the samples; those of image i depend on (seed, i, K) alone.
        max_decoded: how many z are decoded at once; changes speed and memory, not the noise.
    """
    rows = [
        importance_log_weights(view, image[None], num_samples, seed, i, max_decoded)
        for i, (view, image) in enumerate(zip(model.split(1, len(x)), x, strict=True))
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
    """log p(x, z_k) / q(z_k|x) of an image (1, C, H, W): (K,) float64; (seed, number) seed z_k."""
    with torch.autocast(x.device.type, enabled=False):
        q_z, p_z = model.encode(x), model.prior()
        # All z of an image in one call: drawn in parts, they would differ.
        with random_stream("metrics", "importance_weighted", seed, number):
            z = q_z.sample(torch.Size([num_samples]))
        parts = z.split(max_decoded or decoded_at_once(model))
        log_prior = torch.cat([p_z.log_prob(part) for part in parts])  # may be of many components
        log_ratio = log_prior.double() - q_z.log_prob(z).double()
        log_likelihood = torch.cat([model.decode(part).log_prob(x) for part in parts])
    return (log_ratio + log_likelihood.double()).squeeze(1)


def class_log_likelihoods(model: VAE, x: Tensor, num_samples: int, seed: int = 0) -> Tensor:
    """The bound L_K on log p(x|y) of each image with each class, in nats: (C, B) float64.

    By Bayes' rule its sum with log p(y) has p(y|x) as softmax over classes, up to the gaps
    log p(x|y) - L_K. In training q(z|x, y) never sees a wrong pair, so that for wrong classes the
    gap is widest; it closes as K grows.

    Args:
        model: conditional, in evaluation mode.
        x: (B, C, H, W).
        num_samples: K.
        seed: of the samples; an image has the same noise for all classes.

    Raises:
        UserError: the model has no classes.
    """
    require(
        model.condition is not None,
        "class_log_likelihoods expects a conditional model, got one without classes; use a "
        "condition.",
    )
    views = [model.given(y) for y in torch.arange(model.num_classes, device=x.device).split(1)]
    columns = []
    for i, image in enumerate(x.split(1)):
        rows = [importance_log_weights(view, image, num_samples, seed, i) for view in views]
        columns.append(log_mean_weight(torch.stack(rows)))
    return torch.stack(columns, 1)


@dataclass(frozen=True, kw_only=True)
class ImportanceWeightedBound(ImagesMetric):
    """L_K averaged over the evaluation images, see `importance_weighted_bound`.

        mean over all images of ELBO + mean over num_images of them of (L_K - ELBO)

    which is unbiased and, as L_K - ELBO varies less between images than L_K does, several times as
    precise as the mean of L_K over num_images. Their ELBO is the mean of the K log weights, the
    ELBO of all images takes one sample of each.

    Details of the score: bits_per_dim of L_K, and the median over images of the effective sample
    size.

    Args:
        num_samples: K; 5,000 is usual for a negative log likelihood.
        num_images: for how many images L_K is computed; None for all. The first in seeded order.
    """

    name = "importance_weighted"
    needs_density = True

    num_samples: int = 5000
    num_images: int | None = 100

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        rows = self.rows(encoded)
        bounds, elbos, sizes = np.empty((3, len(rows)))
        for i in encoded.progress(range(len(rows))):
            x = encoded.x(rows[i : i + 1])
            model = encoded.given(rows[i : i + 1])
            log_weights = importance_log_weights(model, x, self.num_samples, self.seed, i)
            bounds[i], elbos[i] = log_mean_weight(log_weights), log_weights.mean()
            sizes[i] = effective_sample_size(log_weights)
        if len(rows) == len(encoded.evaluation_rows):
            score = self.mean_score(bounds)
        else:
            stream = "importance_weighted_elbo"
            table = term_table(encoded, encoded.evaluation_rows, 1, stream, self.seed)
            score = _from_all(-table[:, 1:3].sum(1), bounds - elbos)
        return {
            "importance_weighted_bound": score.with_details(
                num_samples=self.num_samples,
                split=encoded.split,
                median_effective_sample_size=float(np.median(sizes)),
                bits_per_dim=bits_per_dim(score.value, encoded.model.num_pixels),
            )
        }


def _from_all(elbos: NDArray[np.float64], gains: NDArray[np.float64]) -> Score:
    """From the ELBO of all images (N,) and the gains L_K - ELBO of some (num_images,)."""
    # The two means vary independently, except for the few images that they share.
    score = Score(float(elbos.mean() + gains.mean()), mean_interval(elbos, gains))
    return score.with_details(num_images=len(gains), num_images_elbo=len(elbos), interval=INTERVAL)
