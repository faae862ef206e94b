"""A decoder as a list of layers that a browser can run: z -> mean of p(x|z)."""

import base64
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vaelab.models import VAE
from vaelab.report.explorer.layers import DESCRIBE, Layer, NotPortable, describe_mean
from vaelab.seeding import random_stream

MAX_WEIGHTS = 5_000_000
MAX_MULTIPLICATIONS = 200_000_000


def export_decoder(model: VAE) -> list[Layer]:
    """The layers of the decoder in the order of execution, then the mean of the likelihood.

    Each is a dict with "type", shapes "in" and "out", and weights as arrays (float32, C order):

        linear          weight (out, in), bias (out,); condition (out, dim) where the decoder is
                        conditional: its columns of the class are added, one per factor
        conv            weight (out, in, kernel, kernel), bias; kernel, stride, padding as (y, x)
        conv_transpose  weight (in, out, kernel, kernel), bias; the same
        activation      name, and slope or alpha where it has one
        mean            the last: name, num_values, and the constants of the likelihood

    Reshapes are left out, since arrays are flat. The decoder must do nothing else than run its
    layers one after the other, which is checked by comparing images.

    Raises:
        NotPortable: an unknown module or likelihood, a decoder that is too large, or one that does
            more than run its modules in turn.
    """
    if model.posterior.is_discrete:
        raise NotPortable("its latent is discrete, and can't be moved")
    num_weights = sum(p.numel() for p in model.decoder.parameters())
    if num_weights > MAX_WEIGHTS:
        raise NotPortable(
            f"its decoder has {num_weights:,} weights, more than the {MAX_WEIGHTS:,} that a page "
            "can carry"
        )
    device = next(model.parameters()).device
    with random_stream("report"):
        if model.condition is not None:  # checked given the first and the last class
            ends = torch.tensor([0, model.num_classes - 1], device=device)
            model = model.given(ends)
        z = model.sample_prior(2)
    layers = [*_record_layers(model, z), describe_mean(model)]
    num = sum(map(count_multiplications, layers))
    if num > MAX_MULTIPLICATIONS:
        raise NotPortable(f"one image takes {num / 1e6:,.0f} million multiplications")
    expected = model.decode(z).mean.detach().cpu().numpy()
    if not np.allclose(_run_in_torch(model, layers, z), expected, atol=1e-4):
        raise NotPortable("its decoder does more than run its layers one after the other")
    return layers


def count_multiplications(layer: Layer) -> int:
    """Multiplications of a layer for one image, without those of activations."""
    if "weight" not in layer:
        return 0
    if layer["type"] == "linear":
        return layer["weight"].size  # the columns of the class are added alone
    grid = layer["in"] if layer["type"] == "conv_transpose" else layer["out"]
    return layer["weight"].size * grid[1] * grid[2]


def pack_layers(layers: Sequence[Layer]) -> tuple[list[Layer], str]:
    """Replace the arrays of layers by [offset, length], and put all arrays into one.

    Returns:
        (layers for JSON, base64 of little-endian float32).
    """
    arrays: list[NDArray] = []
    offset = 0
    plain = []
    for layer in layers:
        entry = {}
        for key, value in layer.items():
            if isinstance(value, np.ndarray):
                arrays.append(value)
                entry[key] = [offset, value.size]
                offset += value.size
            else:
                entry[key] = value
        plain.append(entry)
    return plain, encode_floats(np.concatenate([a.ravel() for a in arrays] or [np.zeros(0)]))


def encode_floats(values: NDArray) -> str:
    """base64 of little-endian float32."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def _record_layers(model: VAE, z: Tensor) -> list[Layer]:
    """Each innermost module as a layer, in the order of the calls."""
    decoder = model.decoder
    layers: list[Layer] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        describe = DESCRIBE.get(type(module))
        if describe is None:
            raise NotPortable(f"its decoder has a layer of type {type(module).__name__}")
        layer = describe(module)
        if layer is not None:
            if layer["type"] == "linear" and inputs[0].ndim != 2:
                raise NotPortable("its decoder has a linear layer over more than one axis")
            shapes = {"in": list(inputs[0].shape[1:]), "out": list(output.shape[1:])}
            layers.append({**layer, **shapes, "module": partial(_run_module, module, inputs[1:])})

    inner = [module for module in decoder.modules() if not list(module.children())]
    handles = [module.register_forward_hook(record) for module in inner]
    try:
        with torch.no_grad():
            model.decode_raw(z)
    finally:
        for handle in handles:
            handle.remove()
    return layers


def _run_module(module: nn.Module, condition: tuple[Tensor, ...], h: Tensor) -> Tensor:
    """A module on another input than it was recorded with, but with the same condition."""
    return module(h, *condition)


def _run_in_torch(model: VAE, layers: Sequence[Layer], z: Tensor) -> NDArray[np.float32]:
    """Run the recorded modules one after the other, and remove them from the layers."""
    h = z
    with torch.no_grad():
        for layer in layers[:-1]:
            h = layer.pop("module")(h.reshape(len(h), *layer["in"]))
        raw = h.reshape(len(h), -1, *model.image_shape[1:])
        return model.likelihood(raw).mean.cpu().numpy()
