"""The contractive autoencoder: its Jacobian against autograd's and closed forms."""

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

from vaelab.build import build_model
from vaelab.errors import UserError
from vaelab.objectives import Autoencoder, ContractiveAutoencoder
from vaelab.objectives.contractive_autoencoder import sample_and_jacobian_norm

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(5, 1, 4, 4, dtype=F64)


def norms_by_autograd(model, x):
    """||d mu / d x||_F^2 of each image by itself."""
    parts = [jacobian(lambda one: model.encode(one).mean, image[None]) for image in x]
    return torch.stack([part.square().sum() for part in parts])


def test_jacobian_is_that_of_autograd(tiny_vae, x):
    model = tiny_vae()
    z, norm = sample_and_jacobian_norm(model, x)
    assert norm.shape == (5,)
    assert z.shape == (5, 3)
    assert torch.allclose(norm, norms_by_autograd(model, x), rtol=1e-10)


@pytest.mark.parametrize("posterior", ["delta", "gaussian"])
def test_jacobian_of_convolutions_is_that_of_autograd(compose, posterior):
    cfg = compose("model=conv", "latent_dim=3", f"posterior={posterior}")
    model, x = build_model(cfg, (1, 16, 16)).double(), torch.rand(3, 1, 16, 16, dtype=F64)
    _, norm = sample_and_jacobian_norm(model, x)
    assert torch.allclose(norm, norms_by_autograd(model, x), rtol=1e-10)
    assert norm.min() > 0


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_closed_form_and_gradient_of_one_layer(tiny_vae, x, activation):
    """h = s(W x + b): sum_j s'(.)_j^2 |W_j|^2. Rifai et al. 2011, sec. 5.1, for the sigmoid."""
    model, layer = tiny_vae(), nn.Linear(16, 3).double()
    squash = nn.Sigmoid() if activation == "sigmoid" else nn.Tanh()
    model.encoder = nn.Sequential(nn.Flatten(), layer, squash, WithUnitVariance())
    _, norm = sample_and_jacobian_norm(model, x)
    h = squash(layer(x.flatten(1)))
    slope = h * (1 - h) if activation == "sigmoid" else 1 - h**2
    expected = (slope**2 @ layer.weight.square().sum(1, keepdim=True)).squeeze(1)
    assert torch.allclose(norm, expected, rtol=1e-10)
    ours, closed = (torch.autograd.grad(n.sum(), layer.weight)[0] for n in (norm, expected))
    assert torch.allclose(ours, closed, rtol=1e-8)
    assert closed.abs().max() > 0


class WithUnitVariance(nn.Module):
    """mu -> (mu, log sigma^2 = 0)."""

    def forward(self, mu):
        return torch.cat([mu, torch.zeros_like(mu)], -1)


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_loss_is_reconstruction_and_weighted_norm(tiny_vae, x, weight):
    model = tiny_vae()
    torch.manual_seed(1)
    terms = ContractiveAutoencoder(weight)(model, x, 0)
    torch.manual_seed(1)
    plain = Autoencoder()(model, x, 0)["loss"]
    penalty = weight * norms_by_autograd(model, x).mean()
    assert torch.equal(terms["reconstruction"], plain)
    assert terms["contraction"].item() == pytest.approx(penalty.item(), rel=1e-6)
    assert terms["loss"].item() == pytest.approx((plain + penalty).item(), rel=1e-8)


def test_weight_0_has_the_gradients_of_the_autoencoder(tiny_vae, x):
    model, gradients = tiny_vae(), []
    for objective in (Autoencoder(), ContractiveAutoencoder(0.0)):
        torch.manual_seed(1)
        loss = objective(model, x, 0)["loss"]
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(*gradients, strict=True))


def test_negative_weight_is_rejected():
    with pytest.raises(UserError, match=r"^weight expects a number of at least 0, got -0\.1"):
        ContractiveAutoencoder(-0.1)
