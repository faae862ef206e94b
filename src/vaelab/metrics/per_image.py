"""Metrics that average over evaluation images: which images, how many are decoded at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaelab.errors import require_range
from vaelab.metrics.base import Metric, Score, bootstrap_interval
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.factor_dataset import Rows
from vaelab.models import VAE
from vaelab.seeding import derive_seed

# Raw decoder outputs held at once: on a CPU 32 images of 64 x 64, which stay in its cache and take
# half the time per image that 512 do.
DECODED_NUMBERS = {"cpu": 2**17, "other": 2**22}
INTERVAL = "95 % bootstrap over images"


@dataclass(frozen=True, kw_only=True)
class ImagesMetric(Metric):
    """A metric of the model, and not of codes alone, averaged over evaluation images.

    Args:
        num_images: how many evaluation images; None for all. The first of a seeded order that all
            these metrics share.
        seed: of images, samples and intervals.
        num_bootstrap: resamples of the images for the intervals; 0 for none.
    """

    needs_factors = False

    num_images: int | None = None
    seed: int = 0
    num_bootstrap: int = 200


def evaluation_images(encoded: EncodedDataset, num_images: int | None, seed: int) -> Rows:
    """Rows of the first num_images (None: all) evaluation images in an order drawn by the seed.

    All of them where there are fewer than num_images.

    Raises:
        UserError: num_images is below 1.
    """
    rows = encoded.evaluation_rows
    num = len(rows) if num_images is None else num_images
    require_range("num_images", num, at_least=1, integer=True, example=100)
    order = np.random.default_rng(derive_seed("metrics", "evaluation_images", seed))
    return order.permutation(rows)[:num]


def decoded_at_once(model: VAE) -> int:
    """How many z to decode at once, so that memory is bounded for any likelihood."""
    device = next(model.parameters()).device.type
    numbers = DECODED_NUMBERS["cpu" if device == "cpu" else "other"]
    return max(1, numbers // (model.num_pixels * model.likelihood.channels_per_pixel))


def split_rows(rows: Rows, size: int) -> list[Rows]:
    """Rows in parts of at most `size`."""
    return np.split(rows, range(size, len(rows), size))


def mean_score(
    values: NDArray[np.float64],
    rng: np.random.Generator,
    num_bootstrap: int,
    **details: int | float | str,
) -> Score:
    """The mean over images (B,) with its bootstrap interval."""
    num, mean = len(values), float(values.mean())
    interval = bootstrap_interval(
        mean, lambda counts: float(counts @ values / num), num, rng, num_bootstrap
    )
    return Score(mean, interval).with_details(**details, num_images=num, interval=INTERVAL)
