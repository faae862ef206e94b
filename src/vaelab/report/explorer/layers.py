"""Modules and likelihoods as plain layers, for a program that is not torch."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from vaelab import likelihoods
from vaelab.likelihoods import Likelihood
from vaelab.models import VAE
from vaelab.models.mlp import ConditionalLinear, Layers

Layer = dict[str, Any]


class NotPortable(Exception):
    """Why a decoder can't be run outside torch, as the end of a sentence."""


def _export_weights(module: Any, num_out: int) -> Layer:
    bias = torch.zeros(num_out) if module.bias is None else module.bias
    arrays = {"weight": module.weight, "bias": bias}
    return {name: value.detach().float().cpu().numpy().copy("C") for name, value in arrays.items()}


def _describe_linear(module: nn.Linear) -> Layer:
    return {"type": "linear"} | _export_weights(module, module.out_features)


def _describe_conditional_linear(module: ConditionalLinear) -> Layer:
    layer = _describe_linear(module)
    of_input, of_condition = np.split(layer["weight"], [module.num_inputs], axis=1)
    return layer | {"weight": of_input.copy("C"), "condition": of_condition.copy("C")}


def _describe_convolution(module: nn.Conv2d | nn.ConvTranspose2d) -> Layer:
    plain = module.groups == 1 and set(module.dilation) == {1} and module.padding_mode == "zeros"
    if not plain or isinstance(module.padding, str):
        raise NotPortable("its decoder has a convolution with groups, dilation or other padding")
    name = "conv_transpose" if isinstance(module, nn.ConvTranspose2d) else "conv"
    sizes = {
        "kernel": list(module.kernel_size),
        "stride": list(module.stride),
        "padding": list(module.padding),
    }
    return {"type": name} | sizes | _export_weights(module, module.out_channels)


def _describe_activation(name: str, **numbers: str) -> Callable[[Any], Layer]:
    def describe(module: Any) -> Layer:
        values = {key: float(getattr(module, attribute)) for key, attribute in numbers.items()}
        return {"type": "activation", "name": name} | values

    return describe


def _describe_gelu(module: nn.GELU) -> Layer:
    return {"type": "activation", "name": "gelu" if module.approximate == "none" else "gelu_tanh"}


def _skip(module: nn.Module) -> None:
    return None


DESCRIBE: dict[type[nn.Module], Callable[[Any], Layer | None]] = {
    nn.Linear: _describe_linear,
    ConditionalLinear: _describe_conditional_linear,
    nn.Conv2d: _describe_convolution,
    nn.ConvTranspose2d: _describe_convolution,
    nn.ReLU: _describe_activation("relu"),
    nn.LeakyReLU: _describe_activation("leaky_relu", slope="negative_slope"),
    nn.ELU: _describe_activation("elu", alpha="alpha"),
    nn.Tanh: _describe_activation("tanh"),
    nn.Sigmoid: _describe_activation("sigmoid"),
    nn.SiLU: _describe_activation("silu"),
    nn.GELU: _describe_gelu,
    Layers: _skip,  # of no hidden layers
    nn.Flatten: _skip,
    nn.Unflatten: _skip,
    nn.Identity: _skip,
    nn.Dropout: _skip,  # in evaluation mode
}

# The likelihoods whose mean decoder.js computes, with its names for them.
MEANS: dict[type[Likelihood], str] = {
    likelihoods.Bernoulli: "sigmoid",
    likelihoods.ContinuousBernoulli: "continuous_bernoulli",
    likelihoods.Gaussian: "first",
    likelihoods.GaussianLearned: "first",
    likelihoods.GaussianOptimal: "first",
    likelihoods.GaussianPerPixel: "first",
    likelihoods.DiscretizedLogistic: "discretized_logistic",
    likelihoods.Categorical: "categorical",
}


def describe_mean(model: VAE) -> Layer:
    """Raw decoder output -> mean of p(x|z), the last layer."""
    likelihood = model.likelihood
    if type(likelihood) not in MEANS:
        raise NotPortable(f"the mean of its likelihood {type(likelihood).__name__} is not known")
    layer: Layer = {"type": "mean", "name": MEANS[type(likelihood)]}
    layer["num_values"] = math.prod(model.image_shape)
    if isinstance(likelihood, likelihoods.DiscretizedLogistic | likelihoods.Categorical):
        layer["num_levels"] = likelihood.num_levels
    if isinstance(likelihood, likelihoods.DiscretizedLogistic):
        layer["min_log_scale"] = likelihood.min_log_scale
    return layer
