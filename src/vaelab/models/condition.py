"""The class of an image as input of networks."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from vaelab.errors import UserError, require
from vaelab.posteriors import Posterior


class Condition(nn.Module):
    """Class numbers y as vectors: a one-hot vector per factor, side by side.

    A class is a combination of the values of F factors, numbered with the last factor changing
    fastest; a label alone is one factor.

    Args:
        sizes: number of values of each factor, at least 1.
        encoder: whether q(z|x, y) depends on y, or is q(z|x).
        decoder: whether p(x|y, z) does, or is p(x|z).

    Attributes:
        num_classes: C, the product of the sizes.
        dim: length of the vectors, the sum of the sizes.
        log_prior: log p(y) (C,), in nats; uniform unless set.

    Raises:
        UserError: no factors, a size below 1, or neither encoder nor decoder.

    Shapes: y (...) int64 in 0 .. C - 1 -> (..., dim).
    """

    log_prior: Tensor

    def __init__(self, sizes: Sequence[int], *, encoder: bool = True, decoder: bool = True):
        super().__init__()
        require(
            len(sizes) > 0 and min(sizes) >= 1,
            f"sizes expects a number of values per factor, each at least 1, got {list(sizes)}; "
            "use data with labels.",
        )
        require(
            encoder or decoder,
            "encoder and decoder expect at least one that sees the class, got encoder=False and "
            "decoder=False; leave the condition out.",
        )
        self.sizes, self.encoder, self.decoder = tuple(sizes), encoder, decoder
        self.num_classes, self.dim = math.prod(sizes), sum(sizes)
        uniform = torch.full((self.num_classes,), -math.log(self.num_classes))
        self.register_buffer("log_prior", uniform)

    @property
    def encoder_options(self) -> dict[str, int]:
        """What an encoder that sees the class is built with."""
        return {"condition_dim": self.dim} if self.encoder else {}

    @property
    def decoder_options(self) -> dict[str, int]:
        """What a decoder that sees the class is built with."""
        return {"condition_dim": self.dim} if self.decoder else {}

    def forward(self, y: Tensor) -> Tensor:
        values = torch.unravel_index(y, self.sizes)
        columns = [one_hot(v, size) for v, size in zip(values, self.sizes, strict=True)]
        return torch.cat(columns, -1).to(self.log_prior.dtype)

    def require_classes(self, y: Tensor) -> None:
        """Require class numbers that there are.

        Raises:
            UserError: y is not of integers, or out of range.
        """
        last = self.num_classes - 1
        expected = f"y expects class numbers from 0 to {last}, got"
        if y.dtype.is_floating_point or y.dtype == torch.bool:
            raise UserError(f"{expected} {y.dtype}; give integers.")
        wrong = y[(y < 0) | (y > last)]
        if len(wrong):
            raise UserError(f"{expected} {wrong[0].item()}; count from 0.")

    def check_posterior(self, posterior: Posterior) -> None:
        """Check that the class reaches the model.

        Raises:
            UserError: the posterior has no encoder, and the decoder does not see the class.
        """
        require(
            self.decoder or not posterior.is_exact,
            f"decoder of a condition expects true for the posterior {type(posterior).__name__}, "
            "which has no encoder to see the class, got false; set it to true.",
        )

    def set_prior(self, y: Tensor) -> None:
        """p(y) from labels (N,), those below 0 unknown: (count + 1) / (N + C), Laplace's rule."""
        counts = torch.bincount(y[y >= 0], minlength=self.num_classes).to(self.log_prior) + 1
        self.log_prior.copy_((counts / counts.sum()).log())
