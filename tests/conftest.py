"""What all tests share: one thread, configs, fixed noise and a VAE small enough for float64."""

import pytest
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from vaelab.commands import CONF, register_resolvers
from vaelab.likelihoods import Bernoulli
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.posteriors import Gaussian
from vaelab.priors import StandardNormal


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_weights():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def compose():
    """overrides -> the config that the command line would give."""

    def config(*overrides):
        register_resolvers()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra_compose("train", list(overrides))

    return config


@pytest.fixture
def fix_noise(monkeypatch):
    """noise -> from now on every posterior sample is mu + sigma * noise."""

    def fix(noise):
        def given(shape, batch_dim, like):
            assert tuple(shape) == tuple(noise.shape)
            return noise.to(like)

        monkeypatch.setattr("vaelab.distributions.diagonal_normal.standard_normal_noise", given)

    return fix


@pytest.fixture
def tiny_vae():
    """Options -> an MLP VAE of 3 latents over images 1 x 4 x 4, in float64."""

    def build(latent_dim=3, likelihood=None, hidden=(8,), init="pytorch"):
        return VAE(
            (1, 4, 4),
            latent_dim,
            lambda *shapes: MLPEncoder(*shapes, hidden=hidden, activation="tanh"),
            lambda *shapes: MLPDecoder(*shapes, hidden=hidden, activation="tanh"),
            Gaussian,
            StandardNormal,
            likelihood or Bernoulli(),
            init,
        ).double()

    return build
