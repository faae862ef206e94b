"""The ELBO of the evaluation images in its parts: rate, distortion, active latents."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Bernoulli

from vaelab.distributions import point_of
from vaelab.elbo import elbo_terms
from vaelab.elbo_statistics import ElboStatistics, latent_names, term_rows
from vaelab.metrics.base import Score
from vaelab.metrics.collapse import collapse_verdict
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.factor_dataset import Rows
from vaelab.metrics.intervals import bootstrap_interval
from vaelab.metrics.per_image import ImagesMetric, decoded_at_once, split_rows
from vaelab.models import VAE
from vaelab.seeding import random_stream

IMAGES_PER_CLASS = 50  # for the mean of its pixels


@dataclass(frozen=True, kw_only=True)
class Elbo(ImagesMetric):
    """The ELBO and its parts over evaluation images, in nats per image, each with an interval.

        elbo = -(distortion + rate),  distortion = -E_q log p(x|z),  rate = KL(q(z|x) || p(z))

    Rate and distortion are those of Alemi et al. 2018, "Fixing a broken ELBO",
    https://arxiv.org/abs/1711.00464. Other scores: bits_per_dim, active_units and active_units_kl
    (see `ElboStatistics`); elbo_at_mean, with z at the mean of q(z|x) (the mode of a discrete one),
    which some code reports and which is not a bound; and mean_sample_gap = elbo_at_mean - elbo. The
    rate has a breakdown by latent; the details of the elbo have the verdict of `collapse_verdict`.
    An autoencoder has distortion and active_units only.

    Args:
        num_samples: samples of z per image.
        num_bootstrap: resamples of the images for the intervals; 0 for none.
    """

    name = "elbo"

    num_samples: int = 1
    num_bootstrap: int = 200

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        rows = self.rows(encoded)
        table = term_table(encoded, rows, self.num_samples, "elbo", self.seed)
        values, kl_latent = _averages(encoded.model, table.sum(0))
        rng, num = self.rng(), len(table)
        counts = rng.multinomial(num, np.full(num, 1 / num), self.num_bootstrap)
        draws = [_averages(encoded.model, count @ table)[0] for count in counts]
        scores = {}
        for name, value in values.items():
            interval = bootstrap_interval(value, np.array([draw[name] for draw in draws]))
            scores[name] = Score(value, interval).with_details(
                num_samples=self.num_samples,
                num_images=num,
                split=encoded.split,
                interval=f"95 %, {self.num_bootstrap} bootstrap resamples of the images",
            )
        if "elbo" not in scores:
            return scores
        names = latent_names(len(kl_latent))
        scores["rate"] = replace(scores["rate"], breakdown=dict(zip(names, kl_latent, strict=True)))
        verdict = collapse_verdict(
            table[:, 3 : 3 + encoded.latent_dim].var(0).tolist(),
            kl_latent or None,
            values["distortion"],
            _pixel_mean_distortion(encoded, rows),
        )
        scores["elbo"] = scores["elbo"].with_details(verdict=verdict)
        return scores


def term_table(
    encoded: EncodedDataset, rows: Rows, num_samples: int, stream: str, seed: int
) -> NDArray[np.float64]:
    """`per_image_terms` of the images in rows, (N, 4 + 3L), with noise by (stream, seed)."""
    size, parts = max(1, decoded_at_once(encoded.model) // num_samples), []
    for number, part in enumerate(encoded.progress(split_rows(rows, size))):
        with random_stream("metrics", stream, seed, number):
            parts.append(per_image_terms(encoded.given(part), encoded.x(part), num_samples).cpu())
    return torch.cat(parts).numpy()


@torch.no_grad()
def per_image_terms(model: VAE, x: Tensor, num_samples: int) -> Tensor:
    """`term_rows`, then the ELBO with z at the mean of q(z|x): (B, 4 + 3L). Noise is torch's."""
    with torch.autocast(x.device.type, enabled=False):
        terms = elbo_terms(model, x, num_samples)
        at_mean = model.decode(point_of(terms.q_z)).log_prob(x) - terms.kl
    return torch.cat([term_rows(terms), at_mean[:, None].double()], 1)


def _averages(model: VAE, sums: NDArray[np.float64]) -> tuple[dict[str, float], list[float]]:
    """The values of the scores by name, and the KL of each latent, from summed rows."""
    has_kl = model.posterior.has_density
    statistics = ElboStatistics(model.latent_dim, model.num_pixels, has_kl=has_kl)
    statistics.sums = torch.from_numpy(sums[:-1])
    values = statistics.compute()
    distortion = values.pop("reconstruction")
    if not has_kl:
        return {"distortion": distortion, **values}, []
    elbo, rate = values.pop("elbo"), values.pop("kl")
    at_mean = float(sums[-1] / sums[0])
    kl_latent = [values.pop(name) for name in list(values) if name.startswith("kl_latent/")]
    gap = {"elbo_at_mean": at_mean, "mean_sample_gap": at_mean - elbo}
    return {"elbo": elbo, "distortion": distortion, "rate": rate, **values, **gap}, kl_latent


def pixel_mean_distortion(batches: Iterable[Tensor]) -> float:
    """The distortion of the best decoder that ignores z, for Bernoulli pixels, in nats per image.

        -sum_d (p_d ln p_d + (1 - p_d) ln(1 - p_d)),   p_d the mean of pixel d over all images

    Args:
        batches: images (B, C, H, W) in [0, 1].
    """
    total, num = torch.zeros((), dtype=torch.float64), 0
    for x in batches:
        total = total + x.sum(0, dtype=torch.float64).cpu()
        num += len(x)
    p = total / num
    return -float((torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).sum())


def _pixel_mean_distortion(encoded: EncodedDataset, rows: Rows) -> float:
    """The same of the images in rows; with a p(x|y, z) of each class, the pixels at its mean.

    NaN for likelihoods other than Bernoulli, whose best constant decoder takes a fit, and where a
    class has too few images for a mean.
    """
    model = encoded.given(rows[:1])
    p_x = model.decode(next(model.parameters()).new_zeros(1, model.latent_dim))
    if not isinstance(getattr(p_x, "base_dist", None), Bernoulli):
        return math.nan
    groups = [rows]
    if model.condition is not None and model.condition.decoder:
        y = encoded.classes(rows).cpu().numpy()
        groups = [rows[y == c] for c in np.unique(y)]
        if min(map(len, groups)) < IMAGES_PER_CLASS:
            return math.nan
    total = 0.0
    for group in groups:
        batches = (encoded.x(part) for part in split_rows(group, 1000))
        total += len(group) * pixel_mean_distortion(batches)
    return total / len(rows)
