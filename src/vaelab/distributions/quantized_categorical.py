"""A free probability for each level of a quantised image."""

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.types import _size


class QuantizedCategorical(Distribution):
    """Independent categoricals over the levels x = k / (num_levels - 1) of each pixel.

        P(x = k / (num_levels - 1)) = softmax(logits)_k

    logits: (*batch, num_levels, C, H, W). Event: (C, H, W). log_prob: (*batch) in nats.
    Van den Oord et al. 2016, "Pixel recurrent neural networks", https://arxiv.org/abs/1601.06759.
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.independent(constraints.unit_interval, 3)

    def __init__(self, logits: Tensor) -> None:
        self.logits, self.num_levels = logits, logits.shape[-4]
        super().__init__(logits.shape[:-4], logits.shape[-3:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The expectation over the levels (*batch, C, H, W)."""
        levels = torch.linspace(
            0, 1, self.num_levels, dtype=self.logits.dtype, device=self.logits.device
        )
        return torch.einsum("...kchw,k->...chw", self.logits.softmax(-4), levels)

    def sample(self, sample_shape: _size = ()) -> Tensor:
        """Draw images (*sample, *batch, C, H, W) of levels."""
        pixels = Categorical(logits=self.logits.movedim(-4, -1), validate_args=False)
        return pixels.sample(torch.Size(sample_shape)).to(self.logits) / (self.num_levels - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log probability of images (*batch, C, H, W) of levels: (*batch) in nats."""
        shape = torch.broadcast_shapes(value.shape, self.batch_shape + self.event_shape)
        level = (value * (self.num_levels - 1)).round().long().expand(shape).unsqueeze(-4)
        log_p = self.logits.log_softmax(-4).expand(*shape[:-3], self.num_levels, *shape[-3:])
        return log_p.gather(-4, level).squeeze(-4).sum((-3, -2, -1))
