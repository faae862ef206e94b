"""The exported layers say all that is needed: executed in NumPy they give torch's image."""

import base64
import math

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn

from vaelab import likelihoods
from vaelab.models import MLPDecoder
from vaelab.report.explorer import decoder as decoder_module
from vaelab.report.explorer import layers as modules
from vaelab.report.explorer.decoder import count_multiplications, export_decoder, pack_layers
from vaelab.report.explorer.layers import NotPortable

from .networks import LATENT_DIM, LIKELIHOODS, cases, columns_of, vae

MODELS = cases()
Z = np.random.default_rng(0).normal(size=(3, LATENT_DIM)).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def erf(x):
    return np.vectorize(math.erf)(x)


ACTIVATIONS = {
    "relu": lambda x, layer: np.maximum(x, 0),
    "leaky_relu": lambda x, layer: np.where(x > 0, x, layer["slope"] * x),
    "elu": lambda x, layer: np.where(x > 0, x, layer["alpha"] * (np.exp(x) - 1)),
    "tanh": lambda x, layer: np.tanh(x),
    "sigmoid": lambda x, layer: sigmoid(x),
    "silu": lambda x, layer: x * sigmoid(x),
    "gelu": lambda x, layer: x * (1 + erf(x / np.sqrt(2))) / 2,
    "gelu_tanh": lambda x, layer: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2,
}


def conv_transpose(x, layer):
    """Every input pixel stamps the kernel onto a canvas, whose margin is cut off."""
    (height, width), (sy, sx), (py, px) = layer["kernel"], layer["stride"], layer["padding"]
    num_out, out_height, out_width = layer["out"]
    canvas = np.zeros((num_out, out_height + 2 * py + height, out_width + 2 * px + width))
    weight = layer["weight"].reshape(x.shape[0], num_out, height, width)
    for y in range(x.shape[1]):
        for x_ in range(x.shape[2]):
            stamp = np.tensordot(x[:, y, x_], weight, 1)
            canvas[:, y * sy : y * sy + height, x_ * sx : x_ * sx + width] += stamp
    inside = canvas[:, py : py + out_height, px : px + out_width]
    return inside + layer["bias"][:, None, None]


def conv(x, layer):
    """The inner product of the kernel with each window."""
    (sy, sx), (py, px) = layer["stride"], layer["padding"]
    padded = np.pad(x, ((0, 0), (py, py), (px, px)))
    windows = sliding_window_view(padded, layer["kernel"], (1, 2))[:, ::sy, ::sx]
    weight = layer["weight"].reshape(-1, x.shape[0], *layer["kernel"])
    return np.einsum("cyxkl,ockl->oyx", windows, weight) + layer["bias"][:, None, None]


def mean(raw, layer):
    """The mean of p(x|z), each from its definition."""
    parts = raw.reshape(-1, layer["num_values"])
    if layer["name"] == "first":
        return parts[0]
    if layer["name"] == "sigmoid":
        return sigmoid(parts[0])
    if layer["name"] == "continuous_bernoulli":  # the integral of x e^(l x), by the midpoint rule
        x = (np.arange(2000) + 0.5) / 2000
        density = np.exp(parts[0][:, None] * (x - 0.5))
        return (density * x).sum(1) / density.sum(1)
    levels = np.arange(layer["num_levels"]) / (layer["num_levels"] - 1)
    if layer["name"] == "categorical":
        p = np.exp(parts - parts.max(0))
        return levels @ p / p.sum(0)
    least = layer["min_log_scale"]
    scale = np.exp(least + np.log1p(np.exp(parts[1] - least)))[:, None]
    edges = (levels[:-1] + levels[1:]) / 2
    below = sigmoid(np.clip((edges - parts[0][:, None]) / scale, -700, 700))
    mass = np.diff(below, axis=1, prepend=0, append=1)
    return mass @ levels


def run(layers, z, columns=()):
    h = z.astype(np.float64)
    for layer in layers:
        if layer["type"] == "linear":
            h = layer["weight"].astype(np.float64) @ h.ravel() + layer["bias"]
            if "condition" in layer:
                h = h + layer["condition"][:, list(columns)].astype(np.float64).sum(1)
        elif layer["type"] == "activation":
            h = ACTIVATIONS[layer["name"]](h, layer)
        elif layer["type"] == "mean":
            h = mean(h.ravel(), layer)
        else:
            layer_function = {"conv": conv, "conv_transpose": conv_transpose}[layer["type"]]
            h = layer_function(h.reshape(layer["in"]), layer)
    return h


@pytest.mark.parametrize("name", MODELS)
def test_layers_in_numpy_give_the_image_of_torch(name):
    model = MODELS[name]
    layers, seen = export_decoder(model), []
    for y, columns in columns_of(model):
        given = model if y is None else model.given(torch.tensor([y]))
        expected = given.decode(torch.from_numpy(Z)).mean.flatten(1).numpy()
        assert np.ptp(expected) > 0.1  # an image and not a grey area
        # Sums of a few hundred float32 products each; a level of 255 is 4e-3.
        tolerance = 2e-4 * max(1, np.abs(expected).max())
        for z, image in zip(Z, expected, strict=True):
            np.testing.assert_allclose(run(layers, z, columns), image, atol=tolerance)
        seen.append(expected)
    assert all(np.abs(one - seen[0]).max() > 0.01 for one in seen[1:])  # the class matters


def test_all_likelihoods_are_covered():
    assert set(modules.MEANS) == set(LIKELIHOODS.values())
    assert len(LIKELIHOODS) == 8


@pytest.mark.parametrize("name", ["conv", "conditional conv"])
def test_packing_keeps_every_weight(name):
    layers = export_decoder(MODELS[name])
    plain, text = pack_layers(layers)
    weights = np.frombuffer(base64.b64decode(text), "<f4")
    num = sum(p.numel() for p in MODELS[name].decoder.parameters())
    assert len(weights) == num
    for entry, layer in zip(plain, layers, strict=True):
        assert entry["type"] == layer["type"]
        for key in {"weight", "bias", "condition"} & set(layer):
            offset, length = entry[key]
            np.testing.assert_array_equal(
                weights[offset : offset + length], layer[key].astype(np.float32).ravel()
            )


def test_multiplications_of_the_published_decoder():
    # 10 latents in the papers, 3 here: linear 3 * 256 + 256 * 1024, then 16 weights at each input
    # pixel for each pair of channels.
    layers = export_decoder(MODELS["locatello"])
    expected = 3 * 256 + 256 * 1024
    expected += 16 * (16 * 64 * 64 + 64 * 64 * 32 + 256 * 32 * 32 + 1024 * 32)
    assert sum(map(count_multiplications, layers)) == expected


class Doubled(MLPDecoder):
    """A decoder that does something no module of it does."""

    def forward(self, z):
        return 2 * super().forward(z)


class Laplace(likelihoods.Gaussian):
    """A likelihood from elsewhere."""


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: vae(Doubled), "more than run its layers one after the other"),
        (lambda: vae(MLPDecoder, likelihood=Laplace()), "mean of its likelihood Laplace"),
        (lambda: vae(lambda *_: nn.Sequential(nn.Linear(3, 4), nn.PReLU())), "type PReLU"),
        (lambda: vae(lambda *s: MLPDecoder(*s, hidden=(2500, 2000))), "has 5,524,256 weights"),
        (
            lambda: vae(lambda *_: nn.Sequential(nn.Unflatten(1, (3, 1)), nn.Linear(1, 256))),
            "a linear layer over more than one axis",
        ),
        (
            lambda: vae(
                lambda *_: nn.Sequential(
                    nn.Unflatten(1, (3, 1, 1)), nn.ConvTranspose2d(3, 3, 16, groups=3)
                )
            ),
            "groups, dilation",
        ),
    ],
)
def test_why_there_is_no_explorer(model, reason):
    with pytest.raises(NotPortable, match=reason):
        export_decoder(model())


def test_too_many_multiplications(monkeypatch):
    monkeypatch.setattr(decoder_module, "MAX_MULTIPLICATIONS", 10)
    with pytest.raises(NotPortable, match="multiplications"):
        export_decoder(MODELS["conv"])
