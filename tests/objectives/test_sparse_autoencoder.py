"""The sparse autoencoder: its two penalties against formulas written out, and what they do."""

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from vaelab.errors import UserError
from vaelab.objectives import Autoencoder, SparseAutoencoder
from vaelab.objectives.sparse_autoencoder import activation_kl

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64)


@pytest.mark.parametrize("rho", [0.05, 0.5])
def test_kl_is_that_of_mean_activations(rho):
    z = 3 * torch.randn(20, 4, dtype=F64)
    rho_hat = (1 / (1 + (-z).exp())).mean(0)
    expected = kl_divergence(Bernoulli(torch.tensor(rho, dtype=F64)), Bernoulli(rho_hat)).sum()
    assert torch.allclose(activation_kl(z, torch.tensor(rho, dtype=F64)), expected, rtol=1e-10)


def test_kl_is_zero_at_rho_alone():
    rho = torch.tensor(0.2, dtype=F64)
    assert activation_kl(torch.logit(rho).expand(5, 3), rho).item() == pytest.approx(0, abs=1e-12)
    assert activation_kl(torch.logit(rho).expand(5, 3) + 0.1, rho) > 1e-4


@pytest.mark.parametrize("size", [100.0, -100.0, 1e4])
def test_kl_and_its_gradient_are_finite_where_the_sigmoid_rounds(size):
    z = torch.full((4, 2), size, requires_grad=True)
    kl = activation_kl(z, torch.tensor(0.05))
    # One outcome is certain: KL = -H(rho) + part * |z|, part the probability of the other.
    part, entropy = 0.95 if size > 0 else 0.05, Bernoulli(0.05).entropy().item()
    assert kl.item() == pytest.approx(2 * (part * abs(size) - entropy), rel=1e-5)
    (gradient,) = torch.autograd.grad(kl, z)
    expected = torch.full_like(z, part / 4 * (1 if size > 0 else -1))
    assert torch.allclose(gradient, expected, rtol=1e-3)  # float32 at 1e4 is good to 5e-4


@pytest.mark.parametrize("penalty", ["kl", "l1"])
def test_loss_is_reconstruction_and_weighted_penalty(tiny_vae, x, fix_noise, penalty):
    model, noise = tiny_vae(), torch.randn(6, 3, dtype=F64)
    fix_noise(noise)
    terms = SparseAutoencoder(penalty, weight=2.5, rho=0.1)(model, x, 0)
    mu, log_variance = model.encoder(x).chunk(2, -1)
    z = mu + (log_variance / 2).exp() * noise
    rho, rho_hat = 0.1, z.sigmoid().mean(0)
    by_hand = {
        "kl": (rho * (rho / rho_hat).log() + (1 - rho) * ((1 - rho) / (1 - rho_hat)).log()).sum(),
        "l1": z.abs().sum() / 6,
    }
    plain = Autoencoder()(model, x, 0)["loss"]
    assert terms["reconstruction"].item() == pytest.approx(plain.item(), rel=1e-12)
    assert terms[f"sparsity_{penalty}"].item() == pytest.approx(
        2.5 * by_hand[penalty].item(), rel=1e-6
    )
    total = terms["reconstruction"] + terms[f"sparsity_{penalty}"]
    assert terms["loss"].item() == pytest.approx(total.item(), rel=1e-12)


@pytest.mark.parametrize("penalty", ["kl", "l1"])
def test_weight_0_is_the_autoencoder(tiny_vae, x, penalty):
    model, gradients = tiny_vae(), []
    for objective in (Autoencoder(), SparseAutoencoder(penalty, weight=0.0)):
        torch.manual_seed(1)
        loss = objective(model, x, 0)["loss"]
        gradients.append([loss, *torch.autograd.grad(loss, list(model.parameters()))])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_a_heavy_penalty_makes_latents_as_active_as_asked(tiny_vae, x):
    model, objective = tiny_vae(), SparseAutoencoder("kl", weight=1000.0, rho=0.2)
    optimizer = torch.optim.Adam(model.parameters(), 2e-2)
    for step in range(300):
        torch.manual_seed(0)
        loss = objective(model, x, step)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.manual_seed(0)
    activation = model.encode(x).rsample().sigmoid().mean(0)
    assert activation.tolist() == pytest.approx([0.2] * 3, abs=0.01)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"penalty": "l2"}, "^penalty expects one of kl, l1, got 'l2'"),
        ({"weight": -1.0}, "^weight expects a number of at least 0, got -1"),
        ({"rho": 0.0}, r"^rho expects a number above 0 and below 1 \(mean activation\), got 0\.0"),
        ({"rho": 1.0}, "^rho expects"),
    ],
)
def test_bad_settings_are_rejected(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        SparseAutoencoder(**settings)
