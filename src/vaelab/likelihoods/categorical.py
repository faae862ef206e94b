"""Categorical pixels, for images of 256 levels."""

from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributions import QuantizedCategorical
from vaelab.errors import require_range
from vaelab.likelihoods.base import Likelihood


class Categorical(Likelihood):
    """Independent pixels with a free probability for each level x = k / (num_levels - 1).

        log p(x|z) = sum_i log softmax(raw_i)_k(i),    k(i) = (num_levels - 1) x_i

    raw: (*sample, batch, num_levels*C, H, W), all channels of level 0 first. log_prob:
    (*sample, batch) in nats, the log of a probability. Raises UserError for num_levels < 2.
    Van den Oord et al. 2016, "Pixel recurrent neural networks", sec. 2.2,
    https://arxiv.org/abs/1601.06759.
    """

    def __init__(self, num_levels: int = 256) -> None:
        super().__init__()
        require_range("num_levels", num_levels, at_least=2, integer=True, example=256)
        self.num_levels = self.channels_per_pixel = num_levels

    def distribution(self, raw: Tensor) -> Distribution:
        """Categorical images, from logits (*sample, batch, num_levels, C, H, W)."""
        return QuantizedCategorical(raw)
