"""CIWAE: its two ends, and the line between them."""

import pytest
import torch

from vaelab.errors import UserError
from vaelab.kl_penalties import Constant
from vaelab.objectives import CIWAE, IWAE, BetaVAE

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def loss_and_gradient(objective, model, x, seed=1):
    torch.manual_seed(seed)
    loss = objective(model, x, 0)["loss"]
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return loss, torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("num_samples", [1, 6])
def test_beta_1_is_the_vae_whose_kl_is_estimated(tiny_vae, x, monkeypatch, num_samples):
    model = tiny_vae()
    ciwae = loss_and_gradient(CIWAE(1.0, num_samples), model, x)
    monkeypatch.setattr("vaelab.distributions.divergence._closed_form", lambda q, p: None)
    vae = loss_and_gradient(BetaVAE(1.0, Constant(), num_samples), model, x)
    torch.testing.assert_close(ciwae, vae, rtol=1e-10, atol=1e-12)


def test_beta_0_is_the_iwae(tiny_vae, x):
    model = tiny_vae()
    ciwae, iwae = (loss_and_gradient(o, model, x) for o in (CIWAE(0.0, 6), IWAE(6)))
    torch.testing.assert_close(ciwae, iwae, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("beta", [0.05, 0.5, 0.9])
def test_loss_and_gradient_lie_on_the_line_between(tiny_vae, x, beta):
    model = tiny_vae()
    elbo, both, iwae = (loss_and_gradient(CIWAE(b, 6), model, x) for b in (1.0, beta, 0.0))
    assert elbo[0] > both[0] > iwae[0]
    for end, between, other in zip(elbo, both, iwae, strict=True):
        expected = beta * end + (1 - beta) * other
        torch.testing.assert_close(between, expected, rtol=1e-6, atol=1e-6)  # beta is a float32


def test_a_sweep_can_stack_beta():
    assert dict(CIWAE(0.25).named_buffers())["beta"] == 0.25


@pytest.mark.parametrize("beta", [-0.1, 1.1, float("nan")])
def test_beta_outside_is_rejected(beta):
    with pytest.raises(UserError, match=r"^beta expects a number of at least 0 .* at most 1, got"):
        CIWAE(beta)
