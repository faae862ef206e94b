"""Averages over evaluation images: which images, how many are decoded at once, the interval."""

import numpy as np
from numpy.typing import NDArray

from vaelab.errors import require
from vaelab.metrics.base import Score, bootstrap_interval
from vaelab.metrics.encoded_dataset import EncodedDataset, Rows
from vaelab.models import VAE
from vaelab.seeding import derive_seed

# Raw decoder outputs held at once: on a CPU 32 images of 64 x 64, which stay in its cache and are
# decoded twice as fast, image for image, as 512.
DECODED_NUMBERS = {"cpu": 2**17, "other": 2**22}
INTERVAL = "95 % bootstrap over images"


def evaluation_images(encoded: EncodedDataset, num_images: int | None, seed: int) -> Rows:
    """Rows of the first num_images (None: all) evaluation images in an order drawn by the seed.

    All of them where there are fewer than num_images.

    Raises:
        UserError: num_images is below 1.
    """
    rows = encoded.evaluation_rows
    num = len(rows) if num_images is None else num_images
    require(num >= 1, f"num_images expects at least 1, got {num}; null takes all.")
    order = np.random.default_rng(derive_seed("metrics", "evaluation_images", seed))
    return order.permutation(rows)[:num]


def decoded_at_once(model: VAE) -> int:
    """How many z to decode in one go, so that memory is bounded for any likelihood."""
    device = next(model.parameters()).device.type
    numbers = DECODED_NUMBERS["cpu" if device == "cpu" else "other"]
    return max(1, numbers // (model.num_pixels * model.likelihood.channels_per_pixel))


def mean_score(
    values: NDArray[np.float64],
    rng: np.random.Generator,
    num_bootstrap: int,
    settings: dict[str, int | float | str],
) -> Score:
    """The mean over images (B,) with its bootstrap interval."""
    num, mean = len(values), float(values.mean())
    interval = bootstrap_interval(
        mean, lambda counts: float(counts @ values / num), num, rng, num_bootstrap
    )
    return Score(mean, interval, settings=settings | {"num_images": num, "interval": INTERVAL})
