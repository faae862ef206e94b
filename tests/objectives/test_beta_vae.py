"""beta-VAE: what the loss is, how its settings act on it, and that it trains."""

import math

import pytest
import torch

from vaelab.build import build_model, build_objective
from vaelab.elbo import elbo_terms
from vaelab.errors import UserError
from vaelab.kl_penalties import Constant, Cyclic, Linear
from vaelab.objectives import BetaVAE

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def terms_of(objective, model, x, step=0, seed=1):
    torch.manual_seed(seed)
    return objective(model, x, step)


def test_loss_at_beta_1_is_minus_the_elbo(tiny_vae, x):
    model = tiny_vae()
    terms = terms_of(BetaVAE(1.0, Constant()), model, x)
    torch.manual_seed(1)
    elbo = elbo_terms(model, x)
    assert torch.allclose(terms["loss"], (elbo.reconstruction + elbo.kl).mean(), atol=1e-12)
    assert torch.allclose(terms["loss"], -terms["elbo"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0, 16.0])
def test_loss_equals_the_formula_given_the_same_noise(tiny_vae, x, beta):
    model = tiny_vae()
    loss = terms_of(BetaVAE(beta, Constant()), model, x)["loss"]
    torch.manual_seed(1)
    mu, log_variance = model.encoder(x).chunk(2, -1)
    p = torch.sigmoid(model.decoder(mu + (log_variance / 2).exp() * torch.randn(6, 3, dtype=F64)))
    log_p = (x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2, 3))
    kl = 0.5 * (mu**2 + log_variance.exp() - 1 - log_variance).sum(1)
    assert torch.allclose(loss, (beta * kl - log_p).mean(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("beta", [0.0, 0.5, 4.0])
def test_loss_is_reconstruction_plus_beta_kl(tiny_vae, x, beta):
    terms = terms_of(BetaVAE(beta, Constant()), tiny_vae(), x)
    assert torch.allclose(terms["loss"], terms["reconstruction"] + beta * terms["kl"], rtol=1e-12)
    assert torch.allclose(terms["elbo"], -terms["reconstruction"] - terms["kl"], rtol=1e-12)


def test_beta_0_gives_the_log_variance_no_pull_towards_the_prior(tiny_vae, x, fix_noise):
    model = tiny_vae()
    fix_noise(torch.zeros(6, 3))
    BetaVAE(0.0, Constant())(model, x, 0)["loss"].backward()
    mean, log_variance = model.encoder.head.weight.grad.chunk(2)
    assert mean.abs().max() > 0
    assert log_variance.abs().max() == 0


def test_vae_preset_and_beta_vae_at_1_give_the_same_loss_and_gradients(compose):
    x = torch.rand(4, 1, 64, 64).round()
    losses, gradients = [], []
    for overrides in (["objective=vae"], ["objective=beta_vae", "objective.beta=1"]):
        cfg = compose("model=locatello", *overrides)
        torch.manual_seed(0)
        model = build_model(cfg, (1, 64, 64))
        loss = terms_of(build_objective(cfg, 100), model, x)["loss"]
        loss.backward()
        losses.append(loss)
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.allclose(*losses, rtol=1e-5)
    assert torch.allclose(*gradients, rtol=1e-5, atol=1e-5)
    assert gradients[0].abs().max() > 1e-2


def test_many_samples_average_the_losses_of_single_samples(tiny_vae, x, fix_noise):
    model, noise = tiny_vae(), torch.randn(5, 6, 3, dtype=F64)
    fix_noise(noise)
    loss = BetaVAE(4.0, Constant(), num_samples=5)(model, x, 0)["loss"]
    singles = []
    for one in noise:
        fix_noise(one)
        singles.append(BetaVAE(4.0, Constant())(model, x, 0)["loss"])
    assert torch.allclose(loss, torch.stack(singles).mean(), rtol=0, atol=1e-10)


def test_variance_of_the_loss_falls_with_the_number_of_samples(tiny_vae, x):
    model = tiny_vae()
    with torch.no_grad():
        one, many = (
            torch.stack(
                [
                    terms_of(BetaVAE(1.0, Constant(), k), model, x, seed=seed)["loss"]
                    for seed in range(200)
                ]
            )
            for k in (1, 16)
        )
    assert 8 < one.var() / many.var() < 32  # 16 up to the noise of 200 draws
    assert abs(one.mean() - many.mean()) < 4 * (one.var() / 200 + many.var() / 200).sqrt()


@pytest.mark.parametrize("kl_penalty", [Linear(10), Linear(10, start=0.5), Cyclic(8, ramp=1.0)])
@pytest.mark.parametrize("step", [0, 3, 9, 100])
def test_kl_penalty_multiplies_beta(tiny_vae, x, kl_penalty, step):
    terms = terms_of(BetaVAE(4.0, kl_penalty), tiny_vae(), x, step)
    beta = 4.0 * kl_penalty.multiplier(step)
    assert terms["beta"].item() == pytest.approx(beta, rel=1e-6)
    weighted = terms["reconstruction"] + beta * terms["kl"]
    assert terms["loss"].item() == pytest.approx(weighted.item(), rel=1e-6)


def test_kl_penalty_of_the_config_reaches_the_objective(compose):
    objective = build_objective(compose("kl_penalty=linear", "kl_penalty.num_steps=200"), 100)
    assert objective.kl_penalty.multiplier(50) == 0.25


@pytest.mark.parametrize("latent_dim", [2, 5])
def test_beta_norm_is_beta_times_latents_over_pixels(tiny_vae, x, latent_dim):
    terms = terms_of(BetaVAE(4.0, Linear(2)), tiny_vae(latent_dim), x, step=1)
    assert terms["beta_norm"].item() == pytest.approx(2.0 * latent_dim / 16)


def test_terms_are_scalars_and_beta_is_a_buffer(tiny_vae, x):
    objective = BetaVAE(4.0, Constant())
    terms = terms_of(objective, tiny_vae(), x)
    assert set(terms) == {"loss", "reconstruction", "kl", "elbo", "beta", "beta_norm"}
    assert all(value.shape == () for value in terms.values())
    assert dict(objective.named_buffers())["beta"] == 4.0
    assert not terms["elbo"].requires_grad


@pytest.mark.parametrize("beta", [-1.0, -1e-9, float("nan")])
def test_negative_beta_is_rejected(beta):
    with pytest.raises(UserError, match=r"^beta expects a number of at least 0, got .*; try 4\.$"):
        BetaVAE(beta, Constant())


def test_no_samples_are_rejected():
    with pytest.raises(UserError, match=r"^num_samples expects an integer of at least 1, got 0"):
        BetaVAE(1.0, Constant(), num_samples=0)


def test_renaming_latents_leaves_the_loss_unchanged(tiny_vae, x, fix_noise):
    model, noise = tiny_vae(), torch.randn(6, 3, dtype=F64)
    objective, order = BetaVAE(4.0, Constant()), torch.tensor([2, 0, 1])
    fix_noise(noise)
    before = objective(model, x, 0)["loss"]
    with torch.no_grad():
        head, first = model.encoder.head, model.decoder.layers[0]
        rows = torch.cat([order, 3 + order])
        head.weight.copy_(head.weight[rows])
        head.bias.copy_(head.bias[rows])
        first.weight.copy_(first.weight[:, order])
    assert not torch.isclose(objective(model, x, 0)["loss"], before)  # old noise, renamed latents
    fix_noise(noise[:, order])
    assert torch.allclose(objective(model, x, 0)["loss"], before, rtol=1e-12)


@pytest.mark.parametrize("name", ["mlp", "conv", "locatello", "burgess", "higgins"])
def test_gradients_reach_every_parameter(compose, name):
    cfg = compose(f"model={name}")
    model = build_model(cfg, (1, 28, 28))
    terms_of(build_objective(cfg, 100), model, torch.rand(8, 1, 28, 28).round())["loss"].backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


def test_a_tiny_model_overfits_eight_images(tiny_vae):
    x = torch.rand(8, 1, 4, 4, dtype=F64).round()
    assert len(x.unique(dim=0)) == 8
    model, objective = tiny_vae(hidden=(32,)), BetaVAE(1.0, Constant(), num_samples=4)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(400):
        loss = objective(model, x, step)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        elbo = BetaVAE(1.0, Constant(), 500)(model, x, 0)["elbo"].item()
    # No model of the uniform distribution over eight images does better than ln 8 nats.
    assert math.log(8) < -elbo < 4.0
