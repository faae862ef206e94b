"""The Wasserstein autoencoder: no KL, any posterior, and q(z) drawn to the prior."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from vaelab.errors import UserError
from vaelab.kl_penalties import Constant
from vaelab.objectives import WAEMMD, BetaVAE
from vaelab.posteriors import Delta
from vaelab.priors import Prior

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def terms_of(objective, model, x):
    torch.manual_seed(1)
    return objective(model, x, 0)


def test_loss_is_the_weighted_sum_of_its_terms(tiny_vae, x):
    terms = terms_of(WAEMMD(4.0), tiny_vae(), x)
    weighted = terms["reconstruction"] + 4 * terms["squared_mmd"]
    torch.testing.assert_close(terms["loss"], weighted, rtol=1e-12, atol=0)
    assert set(terms) == {"loss", "reconstruction", "squared_mmd"}
    assert all(value.shape == () for value in terms.values())


def test_at_lambda_0_it_is_a_beta_vae_at_beta_0(tiny_vae, x):
    model = tiny_vae()
    losses = [terms_of(o, model, x)["loss"] for o in (WAEMMD(0.0), BetaVAE(0.0, Constant()))]
    assert losses[0] == losses[1]
    ours, plain = (torch.autograd.grad(loss, list(model.parameters())) for loss in losses)
    assert all(map(torch.equal, ours, plain))


def test_posterior_without_density_is_trained_towards_the_prior(tiny_vae):
    model = tiny_vae()
    model.posterior = Delta(3)
    model.encoder.head = nn.Linear(8, 3, dtype=F64)
    with torch.no_grad():
        model.encoder.head.bias.fill_(4.0)
    objective = WAEMMD(100.0)
    objective.check_model(model)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    history = []
    for step in range(200):
        x = torch.rand(64, 1, 4, 4, dtype=F64).round()
        terms = objective(model, x, step)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        history.append(terms["squared_mmd"].item())
    assert history[0] > 1
    assert abs(sum(history[-20:]) / 20) < 0.2
    assert model.encode(x).mean.mean(0).abs().max() < 0.5


class Learned(Prior):
    """A prior whose parameters get no gradient from its samples."""

    def __init__(self):
        super().__init__()
        self.means = nn.Parameter(torch.zeros(4, 3, dtype=F64))

    def forward(self, encode):
        components = Independent(Normal(self.means, torch.ones_like(self.means)), 1)
        return MixtureSameFamily(Categorical(logits=torch.zeros(4, dtype=F64)), components)


def test_prior_that_would_get_no_gradient_is_rejected(tiny_vae):
    model = tiny_vae()
    WAEMMD(10.0).check_model(model)
    model.latent_prior = Learned()
    with pytest.raises(
        UserError, match=r"^WAEMMD expects .* got Learned, which the MMD gives no gradient"
    ):
        WAEMMD(10.0).check_model(model)
    model.latent_prior.requires_grad_(False)
    WAEMMD(10.0).check_model(model)


def test_lambda_is_a_buffer():
    assert dict(WAEMMD(10.0).named_buffers()) == {"lambda_": 10.0}


@pytest.mark.parametrize("lambda_", [-1.0, math.nan])
def test_negative_lambda_is_rejected(lambda_):
    with pytest.raises(UserError, match=r"^lambda_ expects a number of at least 0"):
        WAEMMD(lambda_)
