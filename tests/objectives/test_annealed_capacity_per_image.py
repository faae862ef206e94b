"""Annealed capacity of each image: the loss, and how it differs from that of the batch."""

from functools import partial

import pytest
import torch

from vaelab.elbo import elbo_terms
from vaelab.kl_penalties import Constant
from vaelab.objectives import AnnealedCapacity, BetaVAE

F64 = torch.float64
AnnealedCapacityPerImage = partial(AnnealedCapacity, per_image=True)


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


@pytest.fixture
def model(tiny_vae):
    """A model with KLs that differ from image to image."""
    model = tiny_vae()
    with torch.no_grad():
        model.encoder.head.weight[:3] *= 30
    return model


def terms_of(objective, model, x, step=0):
    torch.manual_seed(1)
    return objective(model, x, step)


@pytest.mark.parametrize(("step", "c"), [(0, 0.0), (30, 1.5), (100, 5.0), (10**6, 5.0)])
def test_loss_is_the_formula(model, x, step, c):
    terms = terms_of(AnnealedCapacityPerImage(50.0, 5.0, 100), model, x, step)
    torch.manual_seed(1)
    elbo = elbo_terms(model, x)
    distance = sum(abs(kl - c) for kl in elbo.kl.tolist()) / 6
    expected = elbo.reconstruction.mean().item() + 50 * distance
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-6)
    above = sum(kl > c for kl in elbo.kl.tolist())
    assert terms["beta"].item() == pytest.approx(50 * (above - (6 - above)) / 6)


def test_capacity_0_is_the_beta_vae(model, x):
    for objective in (AnnealedCapacityPerImage(4.0, 0.0, 100), BetaVAE(4.0, Constant())):
        terms_of(objective, model, x, 50)["loss"].backward()
    gradients = torch.cat([p.grad.flatten() for p in model.parameters()])
    model.zero_grad()
    (2 * terms_of(BetaVAE(4.0, Constant()), model, x)["loss"]).backward()
    twice = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert torch.allclose(gradients, twice, rtol=0, atol=1e-10)


def test_it_is_another_model_than_that_of_the_batch(model, x):
    capacity = elbo_terms(model, x).kl.mean().item()
    batch, each = (
        terms_of(kind(100.0, capacity, 0), model, x)
        for kind in (AnnealedCapacity, AnnealedCapacityPerImage)
    )
    assert batch["loss"] - batch["reconstruction"] < 1e-3
    assert each["loss"] - each["reconstruction"] > 10


def test_both_agree_where_all_images_have_the_same_kl(tiny_vae, x):
    model = tiny_vae()
    with torch.no_grad():
        model.encoder.head.weight.zero_()
        model.encoder.head.bias.copy_(torch.tensor([1.0, 0, 2, 0, -1, 0]))
    for capacity in (0.5, 20.0):
        batch, each = (
            terms_of(kind(100.0, capacity, 0), model, x)
            for kind in (AnnealedCapacity, AnnealedCapacityPerImage)
        )
        assert torch.allclose(batch["loss"], each["loss"], rtol=1e-12)
        assert batch["beta"] == each["beta"]


def test_it_evens_out_the_kl_of_images(tiny_vae):
    """Some hundred steps bring each image to the capacity, those of the batch only their mean."""
    x = torch.rand(8, 1, 4, 4, dtype=F64).round()
    spreads = {}
    for kind in (AnnealedCapacity, AnnealedCapacityPerImage):
        torch.manual_seed(0)
        model, objective = tiny_vae(hidden=(32,)), kind(30.0, 2.0, 150)
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for step in range(400):
            loss = objective(model, x, step)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        kl = elbo_terms(model, x).kl.detach()
        assert abs(kl.mean() - 2) < 0.3
        spreads[kind] = kl.std()
    assert spreads[AnnealedCapacityPerImage] < 0.5 * spreads[AnnealedCapacity]


def test_terms_are_scalars(model, x):
    terms = AnnealedCapacityPerImage(100.0, 5.0, 10)(model, x, 3)
    assert set(terms) == {"loss", "reconstruction", "kl", "elbo", "capacity", "beta", "gamma"}
    assert all(value.shape == () for value in terms.values())
    assert not terms["elbo"].requires_grad
