"""Metrics that average over evaluation images: which images, how many are decoded at once."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vaelab.errors import require_range
from vaelab.metrics.base import Metric, Score, metric_rng
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.factor_dataset import Rows
from vaelab.metrics.intervals import mean_interval
from vaelab.models import VAE
from vaelab.seeding import derive_seed

# Raw decoder outputs held at once: on a CPU 32 images of 64 x 64, which stay in its cache and take
# half the time per image that 512 do.
DECODED_NUMBERS = {"cpu": 2**17, "other": 2**22}
INTERVAL = "95 %, Student's t over images"


@dataclass(frozen=True, kw_only=True)
class ImagesMetric(Metric):
    """A metric of the model, and not of codes alone, averaged over evaluation images.

    name: of the metric; it seeds the metric's own random stream.

    Args:
        num_images: how many evaluation images; None for all. The first of a seeded order that all
            these metrics share.
        seed: of images and samples.
    """

    name: ClassVar[str]
    needs_factors = False

    num_images: int | None = None
    seed: int = 0

    def rng(self) -> np.random.Generator:
        """The metric's random stream."""
        return metric_rng(self.name, self.seed)

    def rows(self, encoded: EncodedDataset) -> Rows:
        """The rows of the evaluation images."""
        return evaluation_images(encoded, self.num_images, self.seed)

    def mean_score(self, values: NDArray[np.float64], **details: int | float | str) -> Score:
        """The mean over images (B,) with its interval."""
        score = Score(float(values.mean()), mean_interval(values))
        return score.with_details(**details, num_images=len(values), interval=INTERVAL)


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
