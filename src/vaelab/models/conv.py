"""Convolutional encoder and decoder of the disentanglement papers; each layer halves the image."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vaelab.errors import require
from vaelab.models.mlp import Layers, call, hidden_layers, linear_head

MIN_SIZE = 16


class ConvEncoder(nn.Module):
    """Strided convolutions, hidden linear layers, then the parameters of q(z|x).

    The published networks, both for 64 x 64 images, are settings of it:
    Locatello et al. 2019, "Challenging common assumptions in the unsupervised learning of
    disentangled representations", table 1, https://arxiv.org/abs/1811.12359:
    channels 32 32 64 64, kernels 4 4 2 2, hidden 256;
    Burgess et al. 2018, "Understanding disentangling in beta-VAE", app. A.1,
    https://arxiv.org/abs/1804.03599: channels 32 32 32 32, kernels 4 4 4 4, hidden 256 256.

    Args:
        image_shape: (C, H, W), H and W at least 16.
        num_outputs, num_heads, condition_dim: as for `MLPEncoder`; the layer after the convolutions
            sees the condition.
        channels: output channels of each stride-2 layer.
        kernel_sizes: even, one per layer, or one for all.
        hidden: widths of the linear layers after the convolutions.

    Raises:
        UserError: images too small for that many layers, no channels, or odd kernel sizes.

    Shapes: x (B, C, H, W) -> (B, num_outputs); with c (*lead, B or 1, condition_dim)
        -> (*lead, B, num_outputs), with the convolutions of x taken once.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_outputs: int,
        num_heads: int = 1,
        condition_dim: int = 0,
        *,
        channels: Sequence[int] = (32, 32, 64),
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
        self.layers = Layers(nn.Flatten(), *hidden_layers(widths, "relu", condition_dim))
        in_head = 0 if hidden else condition_dim
        self.head = linear_head(widths[-1], num_outputs, num_heads, in_head)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return call(self.head, self.layers(self.convolutions(x), condition), condition)


class ConvDecoder(nn.Module):
    """The mirror image of `ConvEncoder`: linear layers, then stride-2 transposed convolutions.

    Args:
        latent_dim: L.
        output_shape: (C * channels_per_pixel, H, W).
        condition_dim: as for `MLPEncoder`.
        channels: those of the encoder, in the encoder's order.
        kernel_sizes: even, in the encoder's order (the papers use 4 throughout).
        hidden: widths of the linear layers before the convolutions.

    Raises:
        UserError: images too small for that many layers, no channels, or odd kernel sizes.

    Shapes: (B, L) -> (B, *output_shape).
    """

    def __init__(
        self,
        latent_dim: int,
        output_shape: Sequence[int],
        condition_dim: int = 0,
        *,
        channels: Sequence[int] = (32, 32, 64),
        kernel_sizes: int | Sequence[int] = 4,
        hidden: Sequence[int] = (256,),
    ):
        super().__init__()
        _require_channels(channels)
        kernels = _kernels(kernel_sizes, len(channels))[::-1]
        sizes = _sizes(output_shape, len(channels))[::-1]
        self.start_shape = (channels[-1], *sizes[0])
        widths = [latent_dim, *hidden, math.prod(self.start_shape)]
        self.layers = Layers(*hidden_layers(widths, "relu", condition_dim))
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

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        h = self.layers(z, condition).view(-1, *self.start_shape)
        if not self.first.weight.is_contiguous():  # the module was put into channels_last
            h = h.contiguous(memory_format=torch.channels_last)
        return self.convolutions(h)


def _sizes(shape: Sequence[int], num_layers: int) -> list[tuple[int, int]]:
    """(H, W) before the first and after each halving; raises for images that are too small."""
    height, width = shape[-2:]
    least = max(MIN_SIZE, 2**num_layers)
    require(
        min(height, width) >= least,
        f"a network of {num_layers} stride-2 convolutions expects images of at least "
        f"{least} x {least} pixels, got {height} x {width}; use larger images, fewer channels "
        f"(one layer each, for images of at least {MIN_SIZE} x {MIN_SIZE}), or an MLP.",
    )
    return [(height >> i, width >> i) for i in range(num_layers + 1)]


def _require_channels(channels: Sequence[int]) -> None:
    """Require at least one layer, and at least one channel in each."""
    require(
        bool(channels) and all(number >= 1 for number in channels),
        f"channels expects a positive number per layer, got {list(channels)}; try [32, 64].",
    )


def _kernels(kernel_sizes: int | Sequence[int], num_layers: int) -> list[int]:
    """One kernel size per layer, checked."""
    kernels = [kernel_sizes] * num_layers if isinstance(kernel_sizes, int) else list(kernel_sizes)
    require(
        len(kernels) == num_layers and all(k >= 2 and k % 2 == 0 for k in kernels),
        f"kernel_sizes expects even numbers, one for all or one per layer ({num_layers}), got "
        f"{kernel_sizes}; try 4.",
    )
    return kernels
