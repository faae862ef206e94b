"""Fully connected encoder and decoder."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import linear

from vaelab.errors import UserError, require, require_choice

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
        condition_dim: length of the vector c that the first layer sees beside x; 0 for none.
        hidden: widths of the hidden layers.
        activation: one of `ACTIVATIONS`, or "glu" for gated layers.

    Raises:
        UserError: an unknown activation, or a width below 1.

    Shapes: x (B, C, H, W) -> (B, num_outputs); with c (*lead, B or 1, condition_dim)
        -> (*lead, B, num_outputs), of which the product of the first layer with x is taken once.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_outputs: int,
        num_heads: int = 1,
        condition_dim: int = 0,
        *,
        hidden: Sequence[int] = (400,),
        activation: str = "relu",
    ):
        super().__init__()
        widths = [math.prod(image_shape), *hidden]
        layers = hidden_layers(widths, activation, condition_dim)
        self.layers = Layers(nn.Flatten(), *layers)
        in_head = 0 if hidden else condition_dim
        self.head = linear_head(widths[-1], num_outputs, num_heads, in_head)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return call(self.head, self.layers(x, condition), condition)


class MLPDecoder(nn.Module):
    """Latents -> hidden layers -> parameters of p(x|z).

    Higgins et al. 2017, "beta-VAE", table 1, on dSprites: hidden (1200, 1200, 1200), tanh;
    https://openreview.net/forum?id=Sy2fzU9gl.

    Args:
        latent_dim: L.
        output_shape: (C * channels_per_pixel, H, W).
        condition_dim, hidden, activation: as for `MLPEncoder`.

    Raises:
        UserError: an unknown activation, or a width below 1.

    Shapes: (B, L) -> (B, *output_shape).
    """

    def __init__(
        self,
        latent_dim: int,
        output_shape: Sequence[int],
        condition_dim: int = 0,
        *,
        hidden: Sequence[int] = (400,),
        activation: str = "relu",
    ):
        super().__init__()
        widths = [latent_dim, *hidden]
        self.layers = Layers(*hidden_layers(widths, activation, condition_dim))
        in_head = 0 if hidden else condition_dim
        self.head = linear_head(widths[-1], math.prod(output_shape), 1, in_head)
        self.output_shape = tuple(output_shape)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        h = call(self.head, self.layers(z, condition), condition)
        return h.unflatten(-1, self.output_shape)


class ConditionalLinear(nn.Linear):
    """W x + V c + b: the linear layer of x and c concatenated, of which c may have more rows.

    Args:
        num_inputs: length of x.
        condition_dim: length of c.
        num_outputs: length of the result.

    Shapes: x (B, num_inputs), c (*lead, B or 1, condition_dim) -> (*lead, B, num_outputs).
    """

    def __init__(self, num_inputs: int, condition_dim: int, num_outputs: int):
        super().__init__(num_inputs + condition_dim, num_outputs)
        self.num_inputs = num_inputs

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        if condition is None:
            raise UserError(
                "a conditional network expects a condition beside its input, got none; use "
                "model.given(y)."
            )
        of_x, of_condition = self.weight.tensor_split([self.num_inputs], 1)
        return linear(x, of_x, self.bias) + linear(condition, of_condition)


class Layers(nn.Sequential):
    """Layers one after the other; the first linear one may be conditional."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        for layer in self:
            x = call(layer, x, condition)
        return x


def call(layer: nn.Module, x: Tensor, condition: Tensor | None) -> Tensor:
    """The output of a layer, which gets the condition where it is conditional."""
    return layer(x, condition) if isinstance(layer, ConditionalLinear) else layer(x)


def hidden_layers(
    widths: Sequence[int], activation: str, condition_dim: int = 0, **options: Any
) -> list[nn.Module]:
    """Linear layers between successive widths, each followed by the activation.

    Args:
        widths: of the input and of each layer.
        activation: one of `ACTIVATIONS`, or "glu".
        condition_dim: of the first layer, which then is a `ConditionalLinear`.
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
    for i, (num_in, num_out) in enumerate(pairwise(widths)):
        dim = condition_dim if i == 0 else 0
        if activation == GATED:
            layers += [linear_head(num_in, 2 * num_out, 2, dim), nn.GLU()]
        else:
            linear_layer = linear_head(num_in, num_out, 1, dim)
            layers += [linear_layer, ACTIVATIONS[activation](**options)]
    return layers


def linear_head(
    num_inputs: int, num_outputs: int, num_heads: int, condition_dim: int = 0
) -> nn.Linear:
    """Linear layers side by side; `num_heads` is how many, for the initial weights."""
    if condition_dim:
        head: nn.Linear = ConditionalLinear(num_inputs, condition_dim, num_outputs)
    else:
        head = nn.Linear(num_inputs, num_outputs)
    head.num_heads = num_heads  # type: ignore[assignment]
    return head
