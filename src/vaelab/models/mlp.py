"""Fully connected encoder and decoder."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from vaelab.errors import require, require_choice

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU,
}
GATED = "glu"  # W x * sigmoid(V x), the gated dense layer of the VampPrior paper's code


class MLPEncoder(nn.Module):
    """Flattened image -> hidden layers -> parameters of q(z|x).

    Higgins et al. 2017, "beta-VAE", table 1, on dSprites: hidden (1200, 1200), relu;
    https://openreview.net/forum?id=Sy2fzU9gl.

    Args:
        image_shape: (C, H, W).
        num_outputs: number of parameters of q(z|x) per image.
        num_heads: how many parameter vectors these are (2: mean and log variance).
        hidden: widths of the hidden layers.
        activation: one of `ACTIVATIONS`, or "glu" for gated layers.

    Raises:
        UserError: an unknown activation, or a width below 1.

    Shapes: (B, C, H, W) -> (B, num_outputs).
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_outputs: int,
        num_heads: int = 1,
        *,
        hidden: Sequence[int] = (400,),
        activation: str = "relu",
    ):
        super().__init__()
        widths = [math.prod(image_shape), *hidden]
        self.layers = nn.Sequential(nn.Flatten(), *hidden_layers(widths, activation))
        self.head = linear_head(widths[-1], num_outputs, num_heads)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x))


class MLPDecoder(nn.Module):
    """Latents -> hidden layers -> parameters of p(x|z).

    Higgins et al. 2017, "beta-VAE", table 1, on dSprites: hidden (1200, 1200, 1200), tanh;
    https://openreview.net/forum?id=Sy2fzU9gl.

    Args:
        latent_dim: L.
        output_shape: (C * channels_per_pixel, H, W).
        hidden, activation: as for `MLPEncoder`.

    Raises:
        UserError: an unknown activation, or a width below 1.

    Shapes: (B, L) -> (B, *output_shape).
    """

    def __init__(
        self,
        latent_dim: int,
        output_shape: Sequence[int],
        *,
        hidden: Sequence[int] = (400,),
        activation: str = "relu",
    ):
        super().__init__()
        widths = [latent_dim, *hidden]
        self.layers = nn.Sequential(*hidden_layers(widths, activation))
        self.head = nn.Linear(widths[-1], math.prod(output_shape))
        self.output_shape = tuple(output_shape)

    def forward(self, z: Tensor) -> Tensor:
        return self.head(self.layers(z)).unflatten(-1, self.output_shape)


def hidden_layers(widths: Sequence[int], activation: str, **options: Any) -> list[nn.Module]:
    """Linear layers between successive widths, each followed by the activation.

    Args:
        widths: of the input and of each layer.
        activation: one of `ACTIVATIONS`, or "glu".
        options: of the activation, such as negative_slope of leaky_relu.

    Raises:
        UserError: an unknown activation, or a width below 1.
    """
    require_choice("activation", activation, [*ACTIVATIONS, GATED])
    require(
        all(width >= 1 for width in widths),
        f"hidden expects positive widths, got {list(widths[1:])}; try [400].",
    )
    layers: list[nn.Module] = []
    for num_in, num_out in pairwise(widths):
        if activation == GATED:
            layers += [linear_head(num_in, 2 * num_out, num_heads=2), nn.GLU()]
        else:
            layers += [nn.Linear(num_in, num_out), ACTIVATIONS[activation](**options)]
    return layers


def linear_head(num_inputs: int, num_outputs: int, num_heads: int) -> nn.Linear:
    """Linear layers side by side; `num_heads` is how many, for the initial weights."""
    head = nn.Linear(num_inputs, num_outputs)
    head.num_heads = num_heads  # type: ignore[assignment]
    return head
