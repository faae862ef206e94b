"""The ELBO of the evaluation images in its parts: rate, distortion, latents in use."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Bernoulli

from vaelab.elbo import elbo_terms
from vaelab.elbo_statistics import ElboStatistics, term_rows
from vaelab.metrics.base import Metric, Score, centred_interval
from vaelab.metrics.collapse import collapse_verdict
from vaelab.metrics.encoded_dataset import EncodedDataset, Rows
from vaelab.metrics.per_image import INTERVAL, decoded_at_once, evaluation_images
from vaelab.models import VAE
from vaelab.seeding import derive_seed, random_stream

RENAMED = {"reconstruction": "distortion", "kl": "rate"}


class Elbo(Metric):
    """The ELBO and its parts over evaluation images, in nats per image, each with an interval.

        elbo = -(distortion + rate),  distortion = -E_q log p(x|z),  rate = KL(q(z|x) || p(z))

    Rate and distortion are those of Alemi et al. 2018, "Fixing a broken ELBO". Also bits_per_dim,
    active_units and active_units_kl (see `ElboStatistics`); elbo_at_mean, with z at the mean of
    q(z|x) in place of the expectation, which some code reports and which is no bound; and
    mean_sample_gap = elbo_at_mean - elbo. The rate has a row a latent; the settings of the elbo
    hold the verdict of `collapse_verdict`. An autoencoder has distortion and active_units alone.

    Args:
        num_samples: of z an image.
        num_images: how many evaluation images; None for all. The first ones of a seeded order.
        seed: of images, samples and intervals.
        num_bootstrap: resamples for the intervals; 0 for none.
    """

    needs_factors = False
    needs_images = True

    def __init__(
        self,
        num_samples: int = 1,
        num_images: int | None = None,
        seed: int = 0,
        num_bootstrap: int = 200,
    ):
        self.num_samples, self.num_images = num_samples, num_images
        self.seed, self.num_bootstrap = seed, num_bootstrap

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        rows = evaluation_images(encoded, self.num_images, self.seed)
        table = term_table(encoded, rows, self.num_samples, "elbo", self.seed)
        values = _averages(encoded.model, table.sum(0))
        rng = np.random.default_rng(derive_seed("metrics", "elbo", self.seed))
        counts = rng.multinomial(
            len(table), np.full(len(table), 1 / len(table)), self.num_bootstrap
        )
        draws = [_averages(encoded.model, count @ table) for count in counts]
        settings: dict[str, int | float | str] = {
            "num_samples": self.num_samples,
            "num_images": len(rows),
            "split": encoded.split,
            "interval": INTERVAL,
        }
        kl_latent = [value for name, value in values.items() if name.startswith("kl_latent/")]
        scores = {}
        for name in [name for name in values if not name.startswith("kl_latent/")]:
            interval = centred_interval(values[name], np.array([draw[name] for draw in draws]))
            latents = {f"z{j + 1}": kl for j, kl in enumerate(kl_latent)} if name == "kl" else {}
            scores[RENAMED.get(name, name)] = Score(values[name], interval, latents, dict(settings))
        if "elbo" not in scores:
            return scores
        verdict = collapse_verdict(
            _variance_of_means(table, encoded.latent_dim),
            kl_latent or None,
            values["reconstruction"],
            _pixel_mean_distortion(encoded, rows),
        )
        scores["elbo"].settings["verdict"] = verdict
        return scores


def term_table(
    encoded: EncodedDataset, rows: Rows, num_samples: int, stream: str, seed: int
) -> NDArray[np.float64]:
    """`per_image_terms` of the images in rows, (N, 4 + 3L), with noise by (stream, seed)."""
    size, parts = max(1, decoded_at_once(encoded.model) // num_samples), []
    for number, start in enumerate(encoded.progress(range(0, len(rows), size))):
        x = encoded.x(rows[start : start + size])
        with random_stream("metrics", stream, seed, number):
            parts.append(per_image_terms(encoded.model, x, num_samples).cpu())
    return torch.cat(parts).numpy()


@torch.no_grad()
def per_image_terms(model: VAE, x: Tensor, num_samples: int) -> Tensor:
    """`term_rows`, then the ELBO with z at the mean of q(z|x): (B, 4 + 3L). Noise is torch's."""
    with torch.autocast(x.device.type, enabled=False):
        terms = elbo_terms(model, x, num_samples)
        at_mean = model.decode(terms.q_z.mean).log_prob(x) - terms.kl
    return torch.cat([term_rows(terms), at_mean[:, None].double()], 1)


def _averages(model: VAE, sums: NDArray[np.float64]) -> dict[str, float]:
    """The averages of `ElboStatistics` and of the ELBO at the mean, from summed rows."""
    has_kl = model.posterior.has_density
    statistics = ElboStatistics(model.latent_dim, model.num_pixels, has_kl=has_kl)
    statistics.sums = torch.from_numpy(sums[:-1])
    values = statistics.compute()
    if not has_kl:
        return values
    values["elbo_at_mean"] = float(sums[-1] / sums[0])
    values["mean_sample_gap"] = values["elbo_at_mean"] - values["elbo"]
    return values


def _variance_of_means(table: NDArray[np.float64], latent_dim: int) -> list[float]:
    return table[:, 3 : 3 + latent_dim].var(0).tolist()


def _pixel_mean_distortion(encoded: EncodedDataset, rows: Rows) -> float:
    """The distortion with every pixel at its mean: -sum p ln p + (1 - p) ln(1 - p) for Bernoulli.

    NaN for other likelihoods, where the best constant decoder takes a fit.
    """
    model = encoded.model
    p_x = model.decode(next(model.parameters()).new_zeros(1, model.latent_dim))
    if not isinstance(getattr(p_x, "base_dist", None), Bernoulli):
        return math.nan
    sums = [encoded.x(part).sum(0, dtype=torch.float64).cpu() for part in _thousands(rows)]
    pixels = torch.stack(sums).sum(0) / len(rows)
    return -float((torch.xlogy(pixels, pixels) + torch.xlogy(1 - pixels, 1 - pixels)).sum())


def _thousands(rows: Rows) -> list[Rows]:
    return np.split(rows, range(1000, len(rows), 1000))
