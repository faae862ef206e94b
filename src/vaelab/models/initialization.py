"""Initial weights, in the schemes of the frameworks that the papers used: results depend on it."""

import torch
from torch import nn

from vaelab.errors import require_choice


def glorot(module: "Layer", heads: int) -> None:
    """Glorot uniform weights and zero biases, the default of TensorFlow's tf.layers.

    W ~ U(-a, a), a = sqrt(6 / (fan_in + fan_out)). A layer whose outputs are several heads side by
    side (mean and log variance) is initialised head by head, as separate layers would be.
    Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural
    networks", eq. 16 (equation number not checked),
    https://proceedings.mlr.press/v9/glorot10a.html.
    """
    for block in module.weight.chunk(heads):
        nn.init.xavier_uniform_(block)
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def kaiming(module: "Layer", heads: int) -> None:
    """Kaiming uniform weights for ReLU, PyTorch's own biases: the disentangling-vae repository.

    W ~ U(-a, a), a = sqrt(6 / fan_in). He et al. 2015, "Delving deep into rectifiers", eq. 10
    (equation number not checked), https://arxiv.org/abs/1502.01852.
    """
    nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")


def pytorch(module: "Layer", heads: int) -> None:
    """PyTorch's default: weights and biases ~ U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""


Layer = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
SCHEMES = {"glorot": glorot, "kaiming": kaiming, "pytorch": pytorch}


def initialize(network: nn.Module, scheme: str) -> None:
    """Give every convolution and linear layer of `network` its initial weights, in place.

    Raises:
        UserError: `scheme` is not one of `SCHEMES`.
    """
    require_choice("init", scheme, SCHEMES)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, Layer):
                SCHEMES[scheme](module, getattr(module, "num_heads", 1))
