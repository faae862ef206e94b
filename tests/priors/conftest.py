"""Every prior with a density far from the standard normal, in float64."""

from functools import partial

import pytest
import torch
from torch import nn

from vaelab.posteriors import FullCovariance, Gaussian
from vaelab.priors import Flow, Mixture, StandardNormal, Vamp

IMAGE = (1, 2, 2)
PRIORS = {
    "standard_normal": StandardNormal,
    "mixture": partial(Mixture, num_components=3),
    "vamp": partial(Vamp, num_components=3),
    "maf": partial(Flow, flow="maf", num_transforms=2, hidden=(8,)),
    "nsf": partial(Flow, flow="nsf", num_transforms=2, hidden=(8,)),
    "realnvp": partial(Flow, flow="realnvp", num_transforms=2, hidden=(8,)),
}


def encoder(latent_dim, posterior=Gaussian):
    """encode of a linear network, its posteriors neither all alike nor wide apart."""
    made = posterior(latent_dim)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, made.num_params, dtype=torch.float64))
    nn.init.normal_(network[1].weight, std=0.5)
    return lambda u: made(network(u))


@pytest.fixture(params=PRIORS)
def name(request):
    return request.param


@pytest.fixture
def prior(name):
    """latent_dim -> (module, encode), parameters perturbed from their initial values."""

    def build(latent_dim):
        torch.manual_seed(3)
        module = PRIORS[name](latent_dim, IMAGE).double()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += 0.15 * torch.randn_like(parameter)
        return module, encoder(latent_dim)

    return build


@pytest.fixture
def full_covariance_encoder():
    return lambda latent_dim: encoder(latent_dim, FullCovariance)
