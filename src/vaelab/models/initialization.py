"""Initial weights: which scheme a paper's framework used changes what its numbers mean."""

import torch
from torch import nn

from vaelab.errors import UserError, nearest


def glorot(module: "Layer", heads: int) -> None:
    """Glorot uniform weights and zero biases, the default of TensorFlow's tf.layers.

    W ~ U(-a, a), a = sqrt(6 / (fan_in + fan_out)). A layer whose outputs are several heads side by
    side (mean and log variance) is initialised head by head, as separate layers would be.
    Source: Glorot and Bengio 2010, eq. 16.
    """
    for block in module.weight.chunk(heads):
        nn.init.xavier_uniform_(block)
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def kaiming(module: "Layer", heads: int) -> None:
    """Kaiming uniform weights for ReLU, PyTorch's own biases: the disentangling-vae repository.

    W ~ U(-a, a), a = sqrt(6 / fan_in). Source: He et al. 2015, eq. 10.
    """
    nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")


def pytorch(module: "Layer", heads: int) -> None:
    """PyTorch's default: weights and biases ~ U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""


Layer = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
SCHEMES = {"glorot": glorot, "kaiming": kaiming, "pytorch": pytorch}


def initialize(network: nn.Module, scheme: str) -> None:
    """Give every convolution and linear layer of `network` its initial weights, in place.

    Raises:
        UserError: `scheme` is none of `SCHEMES`.
    """
    if scheme not in SCHEMES:
        hint = nearest(scheme, SCHEMES)
        raise UserError(
            f"init expects one of {', '.join(SCHEMES)}, got {scheme!r}"
            + (f"; did you mean {hint}?" if hint else "; choose one of them.")
        )
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, Layer):
                SCHEMES[scheme](module, getattr(module, "num_heads", 1))
