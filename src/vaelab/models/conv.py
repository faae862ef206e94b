"""Convolutional encoder and decoder of the disentanglement papers: every layer halves the image."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vaelab.errors import UserError
from vaelab.models.mlp import hidden_layers, linear_head

MIN_SIZE = 16


class ConvEncoder(nn.Module):
    """Strided convolutions, hidden linear layers, then the parameters of q(z|x).

    The published networks are settings of it (both take 64 x 64 images):
    Locatello et al. 2019 (table 1): channels 32 32 64 64, kernels 4 4 2 2, hidden 256;
    Burgess et al. 2018 (app. A.1): channels 32 32 32 32, kernels 4 4 4 4, hidden 256 256.

    Args:
        image_shape: (C, H, W), H and W from 16 up.
        num_outputs, num_heads: as for `MLPEncoder`.
        channels: output channels of each stride-2 layer.
        kernel_sizes: even, one a layer, or one for all.
        hidden: widths of the linear layers after the convolutions.

    Shapes: (B, C, H, W) -> (B, num_outputs).
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_outputs: int,
        num_heads: int = 1,
        *,
        channels: Sequence[int] = (32, 32, 64, 64),
        kernel_sizes: int | Sequence[int] = 4,
        hidden: Sequence[int] = (256,),
    ):
        super().__init__()
        _require_channels(channels)
        kernels = _kernels(kernel_sizes, len(channels))
        *_, height, width = _sizes(image_shape, len(channels))[-1]
        layers: list[nn.Module] = []
        num_in = image_shape[0]
        for num_out, kernel in zip(channels, kernels, strict=True):
            layers += [nn.Conv2d(num_in, num_out, kernel, 2, (kernel - 2) // 2), nn.ReLU()]
            num_in = num_out
        self.convolutions = nn.Sequential(*layers)
        widths = [num_in * height * width, *hidden]
        self.layers = nn.Sequential(nn.Flatten(), *hidden_layers(widths, "relu"))
        self.head = linear_head(widths[-1], num_outputs, num_heads)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(self.convolutions(x)))


class ConvDecoder(nn.Module):
    """The mirror image of `ConvEncoder`: linear layers, then stride-2 transposed convolutions.

    Args:
        latent_dim: L.
        output_shape: (C * channels_per_pixel, H, W).
        channels: those of the encoder, in the encoder's order.
        kernel_sizes: even, in the encoder's order (the papers use 4 throughout).
        hidden: widths of the linear layers before the convolutions.

    Shapes: (B, L) -> (B, *output_shape).
    """

    def __init__(
        self,
        latent_dim: int,
        output_shape: Sequence[int],
        *,
        channels: Sequence[int] = (32, 32, 64, 64),
        kernel_sizes: int | Sequence[int] = 4,
        hidden: Sequence[int] = (256,),
    ):
        super().__init__()
        _require_channels(channels)
        kernels = _kernels(kernel_sizes, len(channels))[::-1]
        sizes = _sizes(output_shape, len(channels))[::-1]
        self.start_shape = (channels[-1], *sizes[0])
        widths = [latent_dim, *hidden, math.prod(self.start_shape)]
        self.layers = nn.Sequential(*hidden_layers(widths, "relu"))
        layers: list[nn.Module] = []
        num_in = channels[-1]
        for i, num_out in enumerate([*channels[-2::-1], output_shape[0]]):
            # Halving rounds down, so an odd size needs one more row or column on the way back.
            (height, width), (half_height, half_width) = sizes[i + 1], sizes[i]
            extra = (height - 2 * half_height, width - 2 * half_width)
            kernel = kernels[i]
            layers += [
                nn.ConvTranspose2d(num_in, num_out, kernel, 2, (kernel - 2) // 2, extra),
                nn.ReLU(),
            ]
            num_in = num_out
        self.convolutions = nn.Sequential(*layers[:-1])

    @property
    def first(self) -> nn.ConvTranspose2d:
        """The first convolution."""
        return self.convolutions[0]  # type: ignore[return-value]

    def forward(self, z: Tensor) -> Tensor:
        h = self.layers(z).view(-1, *self.start_shape)
        if not self.first.weight.is_contiguous():  # the module was put into channels_last
            h = h.contiguous(memory_format=torch.channels_last)
        return self.convolutions(h)


def _sizes(shape: Sequence[int], num_layers: int) -> list[tuple[int, int]]:
    """(H, W) before the first and after each halving; refuses images that are too small."""
    height, width = shape[-2:]
    least = max(MIN_SIZE, 2**num_layers)
    if min(height, width) < least:
        raise UserError(
            f"a convolutional network of {num_layers} stride-2 layers expects images of at least "
            f"{least} x {least} pixels, got {height} x {width}; use larger "
            "images, fewer model.channels (no image may be below 16 x 16), or model=mlp."
        )
    return [(height >> i, width >> i) for i in range(num_layers + 1)]


def _require_channels(channels: Sequence[int]) -> None:
    """Refuse a network without layers or a layer without channels."""
    if not channels or any(number < 1 for number in channels):
        raise UserError(
            f"model.channels expects a positive number for each layer, got {list(channels)}; "
            "e.g. [32, 64]."
        )


def _kernels(kernel_sizes: int | Sequence[int], num_layers: int) -> list[int]:
    """One kernel size a layer, checked."""
    kernels = [kernel_sizes] * num_layers if isinstance(kernel_sizes, int) else list(kernel_sizes)
    if len(kernels) != num_layers or any(k < 2 or k % 2 for k in kernels):
        raise UserError(
            f"kernel sizes are even numbers, one for all or one for each of the {num_layers} "
            f"layers, got {kernel_sizes}; e.g. 4 or [4, 4, 2, 2]."
        )
    return kernels
