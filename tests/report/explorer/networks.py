"""Every decoder and every likelihood of vaelab, for both ways to run them outside torch."""

from functools import partial

import torch
from torch import nn

from vaelab import likelihoods
from vaelab.models import VAE, Condition, ConvDecoder, MLPDecoder, MLPEncoder
from vaelab.models.mlp import ACTIVATIONS
from vaelab.posteriors import Gaussian
from vaelab.priors import StandardNormal

LATENT_DIM = 3
LIKELIHOODS = {
    name: getattr(likelihoods, name) for name in likelihoods.__all__ if name != "Likelihood"
}
CONV = {"channels": (6, 5), "hidden": (7,)}
PUBLISHED = {"channels": (32, 32, 64, 64), "hidden": (256,)}


def vae(decoder, image_shape=(1, 16, 16), likelihood=None, spread=2.0, class_sizes=None):
    """A VAE around a decoder, whose last weights are such that its output has that spread."""
    torch.manual_seed(0)
    encoder = partial(MLPEncoder, hidden=(4,))
    parts = (Gaussian, StandardNormal, likelihood or likelihoods.Bernoulli())
    condition = None if class_sizes is None else Condition(class_sizes)
    model = VAE(image_shape, LATENT_DIM, encoder, decoder, *parts, condition=condition)
    model = model.eval().requires_grad_(False)
    last = [module for module in model.decoder.modules() if hasattr(module, "weight")][-1]
    given = model.given(torch.arange(1)) if condition else model
    last.weight *= spread / given.decode_raw(torch.randn(8, LATENT_DIM)).std()
    return model


def columns_of(model):
    """Some classes of a model, and their columns in the vector of the condition."""
    classes = [0, model.num_classes // 2, model.num_classes - 1] if model.condition else [None]
    return [
        (y, [] if y is None else model.condition(torch.tensor(y)).nonzero().flatten().tolist())
        for y in classes
    ]


def cases():
    """Name -> model: networks, sizes, activations and likelihoods."""
    conv, mlp = partial(ConvDecoder, **CONV), partial(MLPDecoder, hidden=(9, 8))
    models = {
        "conv": vae(conv),
        "odd size, kernels 2 and 6": vae(
            partial(conv, kernel_sizes=(2, 6)), image_shape=(3, 19, 17)
        ),
        "locatello": vae(partial(ConvDecoder, **PUBLISHED), (1, 64, 64)),
        "conditional mlp": vae(mlp, class_sizes=(5,)),
        "conditional linear": vae(partial(MLPDecoder, hidden=()), class_sizes=(2, 3)),
        "conditional conv": vae(conv, class_sizes=(3, 2, 4)),
        "convolutions of all kinds": vae(lambda *shapes: Mixed()),
    }
    for name in ACTIVATIONS:
        models[f"mlp {name}"] = vae(partial(mlp, activation=name))
    for name, likelihood in LIKELIHOODS.items():
        spread = 8.0 if name == "Categorical" else 2.0  # of its 256 levels a few must stand out
        models[f"conv {name}"] = vae(conv, (3, 16, 16), likelihood(), spread)
        models[f"mlp {name}"] = vae(mlp, (1, 16, 16), likelihood(), 1.5 * spread)
    return models


class Mixed(nn.Sequential):
    """Layers that no decoder of vaelab has: other strides, no bias; 1 x 16 x 16."""

    def __init__(self):
        super().__init__(
            nn.Linear(LATENT_DIM, 4 * 3 * 5),
            nn.ELU(0.7),
            nn.Unflatten(1, (4, 3, 5)),
            nn.ConvTranspose2d(4, 3, (3, 2), (3, 2), (1, 0), bias=False),
            nn.GELU("tanh"),
            nn.Conv2d(3, 2, (3, 2), (1, 2), (1, 1)),
            nn.Dropout(),
            nn.Flatten(),
            nn.Linear(2 * 7 * 6, 256, bias=False),
            nn.Sigmoid(),
            nn.Identity(),
            nn.Unflatten(1, (1, 16, 16)),
        )
