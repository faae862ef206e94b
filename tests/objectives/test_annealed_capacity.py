"""Annealed capacity of the batch: the loss, its limits, and that the capacity is reached."""

import pytest
import torch

from vaelab.elbo import elbo_terms
from vaelab.errors import UserError
from vaelab.kl_penalties import Constant
from vaelab.objectives import AnnealedCapacity, BetaVAE

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def loss_and_gradient(objective, model, x, step=0):
    model.zero_grad()
    torch.manual_seed(1)
    loss = objective(model, x, step)["loss"]
    loss.backward()
    return loss, torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize(("step", "c"), [(0, 0.0), (30, 1.5), (100, 5.0), (10**6, 5.0)])
def test_loss_is_the_formula(tiny_vae, x, step, c):
    model = tiny_vae()
    torch.manual_seed(1)
    terms = AnnealedCapacity(50.0, 5.0, 100)(model, x, step)
    torch.manual_seed(1)
    elbo = elbo_terms(model, x)
    expected = elbo.reconstruction.mean() + 50 * abs(elbo.kl.mean() - c)
    assert torch.allclose(terms["loss"], expected, rtol=1e-6)
    assert terms["capacity"].item() == pytest.approx(c)
    assert terms["beta"] == (50 if elbo.kl.mean() > c else -50)
    assert torch.allclose(terms["elbo"], -(elbo.reconstruction + elbo.kl).mean(), rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 4.0, 1000.0])
def test_capacity_0_is_the_beta_vae(tiny_vae, x, gamma):
    model = tiny_vae()
    ours = loss_and_gradient(AnnealedCapacity(gamma, 0.0, 100), model, x, 50)
    theirs = loss_and_gradient(BetaVAE(gamma, Constant()), model, x, 50)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-10)


def test_at_the_first_step_it_is_the_beta_vae(tiny_vae, x):
    model = tiny_vae()
    ours = loss_and_gradient(AnnealedCapacity(4.0, 25.0, 100), model, x, 0)
    theirs = loss_and_gradient(BetaVAE(4.0, Constant()), model, x, 0)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-10)


def test_images_may_share_the_capacity_unevenly(tiny_vae, x):
    """An even and an uneven split of the same KL have the same loss."""
    model = tiny_vae()
    with torch.no_grad():
        model.encoder.head.weight[:3] *= 30
        kl = elbo_terms(model, x).kl
    assert kl.std() > 0.5
    terms = AnnealedCapacity(1.0, kl.mean().item(), 0)(model, x, 0)
    assert abs(terms["loss"] - terms["reconstruction"]) < 1e-5  # the capacity is a float32


@pytest.mark.parametrize("capacity", [1.0, 3.0])
def test_capacity_is_reached_within_three_tenths_of_a_nat(tiny_vae, capacity):
    x = torch.rand(8, 1, 4, 4, dtype=F64).round()
    model, objective, kls = tiny_vae(hidden=(32,)), AnnealedCapacity(30.0, capacity, 150), []
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(400):
        terms = objective(model, x, step)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        kls.append(terms["kl"].item())
    assert abs(sum(kls[-50:]) / 50 - capacity) < 0.3


def test_terms_are_scalars_and_what_a_sweep_varies_is_a_buffer(tiny_vae, x):
    objective = AnnealedCapacity(100.0, 5.0, 10)
    terms = objective(tiny_vae(), x, 3)
    assert set(terms) == {"loss", "reconstruction", "kl", "elbo", "capacity", "beta", "gamma"}
    assert all(value.shape == () for value in terms.values())
    assert not terms["elbo"].requires_grad
    buffers = {name: value.item() for name, value in objective.named_buffers()}
    assert buffers == {"gamma": 100.0, "kl_penalty.capacity": 5.0}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"gamma": -1.0}, "gamma"),
        ({"gamma": float("nan")}, "gamma"),
        ({"capacity": -0.5}, "capacity"),
        ({"num_steps": -1}, "num_steps"),
        ({"num_samples": 0}, "num_samples"),
    ],
)
def test_senseless_arguments_are_rejected_by_name(options, name):
    with pytest.raises(UserError, match=rf"{name} expects"):
        AnnealedCapacity(**{"gamma": 1000.0, "capacity": 25.0, "num_steps": 100} | options)
