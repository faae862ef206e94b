"""What all likelihoods share: the layout of the raw output, its precision, and the support."""

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.nn.functional import softplus

from vaelab.errors import require


class Likelihood(nn.Module, ABC):
    """The map from raw decoder output to p(x|z), a distribution over images.

        raw (*sample, batch, channels_per_pixel * C, H, W)  ->  p(x|z)

    p(x|z) has batch shape (*sample, batch) and event shape (C, H, W); its log_prob is summed over
    pixels: nats per image. Raw output in 16 bits is converted to float32.

    Attributes:
        channels_per_pixel: raw numbers per pixel and channel.
        support: the smallest and the largest x.
        num_levels: where x must be one of the levels k / (num_levels - 1), their number.
        fits_batch: whether in training mode log_prob(x) solves for a parameter at that x, the
            optimum of the plain average of log_prob over images and samples.
    """

    channels_per_pixel: int = 1
    support: tuple[float, float] = (0.0, 1.0)
    num_levels: int | None = None
    fits_batch: bool = False

    def forward(self, raw: Tensor) -> Distribution:
        """The distribution p(x|z), from raw (*sample, batch, channels_per_pixel * C, H, W)."""
        raw = at_least_float32(raw)
        return self.distribution(raw.unflatten(-3, (self.channels_per_pixel, -1)))

    def pairwise_log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """log p(x_n|z_k) in nats of all pairs: raw (K, C', H, W), x (B, C, H, W) -> (K, B).

        A likelihood that is an exponential family needs one matrix product.
        """
        return self(raw.unsqueeze(1)).log_prob(x)

    @abstractmethod
    def distribution(self, raw: Tensor) -> Distribution:
        """The distribution p(x|z), from raw (*sample, batch, channels_per_pixel, C, H, W)."""

    def initialize(self, images: Tensor) -> None:
        """Set initial parameters that depend on the data, from training images (N, C, H, W).

        Called once before training, and not when a model is loaded.
        """

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters that need other settings than the networks', as groups of an optimiser."""
        return []

    def state(self) -> dict[str, Tensor]:
        """Scalars to log during training beside the terms of the objective, such as sigma."""
        return {}

    def check_support(self, x: Tensor) -> None:
        """Check that the images x (any shape) are in the support.

        Raises:
            UserError: a pixel is outside, or not one of the levels.
        """
        name, (low, high) = type(self).__name__, self.support
        least, largest = (value.item() for value in x.aminmax())
        got = f"a minimum of {least}" if not least >= low else f"a maximum of {largest}"
        if math.isinf(high):
            finite = math.isfinite(least) and math.isfinite(largest)
            require(finite, f"{name} expects finite images, got {got}; fix the data.")
            return
        require(
            least >= low and largest <= high,
            f"{name} expects images in [{low:g}, {high:g}], got {got}; scale the data or use the "
            "likelihood Gaussian.",
        )
        if self.num_levels is not None:
            self._check_levels(x, self.num_levels)

    def _check_levels(self, x: Tensor, num_levels: int) -> None:
        last = num_levels - 1
        distance = (x * last - (x * last).round()).abs()
        require(
            bool(distance.max() < 0.01),
            f"{type(self).__name__} expects pixels k/{last}, got "
            f"{x.flatten()[distance.argmax()].item():.6g}; quantise the data to {num_levels} "
            "levels or use the likelihood Gaussian.",
        )


class Images(Independent):
    """A distribution over pixels, (*batch, C, H, W), as one over images: `Independent` over 3.

    torch's `Independent` flattens before it sums, which copies images in channels_last.
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum over pixels of the log probability: (*batch) in nats."""
        # torch's cross-entropy has the dtype of its targets, whatever that of its logits.
        return self.base_dist.log_prob(at_least_float32(value)).sum((-3, -2, -1))


def independent_pixels(pixels: Distribution) -> Distribution:
    """The distribution of images whose pixels have the distributions `pixels` (*batch, C, H, W)."""
    return Images(pixels, 3, validate_args=False)


def at_least_float32(value: Tensor) -> Tensor:
    """`value` in float32 if it has 16 bits: a sum over thousands of pixels needs the digits."""
    return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value


def soft_lower_bound(value: Tensor, bound: float) -> Tensor:
    """bound + softplus(value - bound): about `value` far above the bound, and never below it.

    Unlike a clamp it has a gradient below the bound. Rybkin et al. 2021, "Simple and effective VAE
    training with calibrated decoders", https://arxiv.org/abs/2006.13202.
    """
    return bound + softplus(value - bound)
