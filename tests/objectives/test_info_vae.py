"""InfoVAE: its loss between the VAE and the Wasserstein autoencoder."""

import math

import pytest
import torch

from vaelab.errors import UserError
from vaelab.kl_penalties import Constant, Linear
from vaelab.objectives import WAEMMD, BetaVAE, InfoVAE

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def terms_of(objective, model, x, step=0):
    torch.manual_seed(1)
    return objective(model, x, step)


def gradients(terms, model):
    return torch.autograd.grad(terms["loss"], list(model.parameters()))


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 1.0), (-3.0, 4.0), (0.5, 0.5)])
def test_without_mmd_it_is_a_beta_vae(tiny_vae, x, alpha, beta):
    model = tiny_vae()
    ours = terms_of(InfoVAE(alpha, 1 - alpha, Constant()), model, x)
    plain = terms_of(BetaVAE(beta, Constant()), model, x)
    assert ours["loss"] == plain["loss"]
    assert all(map(torch.equal, gradients(ours, model), gradients(plain, model)))


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_at_alpha_1_it_is_a_wasserstein_autoencoder(tiny_vae, x, kernel):
    model = tiny_vae()
    ours = terms_of(InfoVAE(1.0, 10.0, Constant(), kernel), model, x)
    wae = terms_of(WAEMMD(10.0, kernel), model, x)
    torch.testing.assert_close(ours["loss"], wae["loss"], rtol=1e-12, atol=0)
    torch.testing.assert_close(gradients(ours, model), gradients(wae, model))


def test_loss_is_the_weighted_sum_of_its_terms(tiny_vae, x):
    terms = terms_of(InfoVAE(0.25, 8.0, Constant()), tiny_vae(), x)
    weighted = terms["reconstruction"] + 0.75 * terms["kl"] + 7.25 * terms["squared_mmd"]
    torch.testing.assert_close(terms["loss"], weighted, rtol=1e-12, atol=0)
    torch.testing.assert_close(terms["elbo"], -(terms["reconstruction"] + terms["kl"]))
    assert all(value.shape == () for value in terms.values())
    assert not terms["elbo"].requires_grad


def test_kl_penalty_weighs_the_kl_alone(tiny_vae, x):
    terms = terms_of(InfoVAE(0.5, 2.5, Linear(10)), tiny_vae(), x, step=4)
    assert terms["beta"].item() == pytest.approx(0.2, rel=1e-6)
    weighted = terms["reconstruction"] + terms["beta"] * terms["kl"] + 2 * terms["squared_mmd"]
    torch.testing.assert_close(terms["loss"], weighted, rtol=1e-12, atol=0)


def test_settings_of_a_sweep_are_buffers():
    buffers = dict(InfoVAE(0.5, 10.0, Constant()).named_buffers())
    assert buffers == {"alpha": 0.5, "lambda_": 10.0}


def test_compiles_in_one_graph(tiny_vae, x):
    model, objective = tiny_vae(), InfoVAE(0.0, 10.0, Constant())
    eager = terms_of(objective, model, x)
    objective.compile(backend="eager", fullgraph=True)
    compiled = terms_of(objective, model, x)
    torch.testing.assert_close(compiled, eager)
    torch.testing.assert_close(gradients(compiled, model), gradients(eager, model))


@pytest.mark.parametrize(
    ("alpha", "lambda_", "name"),
    [
        (1.5, 1.0, "alpha"),
        (math.nan, 1.0, "alpha"),
        (0.0, 0.9, "lambda_"),
        (0.0, math.nan, "lambda_"),
    ],
)
def test_negative_weights_are_rejected(alpha, lambda_, name):
    with pytest.raises(UserError, match=rf"^{name} expects"):
        InfoVAE(alpha, lambda_, Constant())
