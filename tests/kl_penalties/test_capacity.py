"""The distance of the KL from the capacity, of the batch and of each image."""

import pytest
import torch

from vaelab.elbo import elbo_terms
from vaelab.errors import UserError
from vaelab.kl_penalties import Capacity, Constant, Linear
from vaelab.objectives import BetaVAE

F64 = torch.float64
BETA = torch.tensor(100.0)


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def spread(model, scale=30.0):
    """The model with KLs that differ from image to image."""
    with torch.no_grad():
        model.encoder.head.weight[:3] *= scale
    return model


@pytest.mark.parametrize("step", [0, 1, 37, 99, 100, 101, 10**6])
@pytest.mark.parametrize("capacity", [0.0, 0.5, 3.0, 40.0])
def test_penalty_is_the_formula(tiny_vae, x, step, capacity):
    terms = elbo_terms(spread(tiny_vae()), x)
    kls = terms.kl.tolist()
    c = capacity * min(1, step / 100)
    batch, state = Capacity(capacity, 100)(BETA, terms, step)
    assert batch.item() == pytest.approx(100 * abs(sum(kls) / 6 - c), rel=1e-6)
    assert float(state["capacity"]) == pytest.approx(c)
    each, state = Capacity(capacity, 100, per_image=True)(BETA, terms, step)
    assert each.item() == pytest.approx(100 * sum(abs(kl - c) for kl in kls) / 6, rel=1e-6)
    assert float(state["capacity"]) == pytest.approx(c)


def test_no_steps_is_the_capacity_from_the_start(tiny_vae, x):
    terms = elbo_terms(tiny_vae(), x)
    for step in (0, 5):
        assert Capacity(7.0, 0)(BETA, terms, step)[1]["capacity"] == 7


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("annealed", [Constant(), Linear(10)])
def test_capacity_0_is_the_beta_vae(tiny_vae, x, per_image, annealed):
    model, results = tiny_vae(), []
    for kl_penalty, step in ((annealed, 10), (Capacity(0.0, 5, per_image), 3)):
        model.zero_grad()
        torch.manual_seed(1)
        loss = BetaVAE(4.0, kl_penalty)(model, x, step)["loss"]
        loss.backward()
        results.append((loss, torch.cat([p.grad.flatten() for p in model.parameters()])))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.allclose(results[0][1], results[1][1], rtol=0, atol=1e-12)


def test_per_image_is_larger_where_images_lie_on_both_sides(measured):
    terms = measured(kl=8.0)  # 6.5, 7.5, 8.5 and 9.5
    batch, each = Capacity(8.0, 0), Capacity(8.0, 0, per_image=True)
    assert batch(BETA, terms, 0)[0] == 0
    assert each(BETA, terms, 0)[0] == 100


@pytest.mark.parametrize("capacity", [5.0, 11.0])
def test_both_agree_where_all_images_lie_on_one_side(measured, capacity):
    terms = measured(kl=8.0)
    batch, state = Capacity(capacity, 0)(BETA, terms, 0)
    each, state_per_image = Capacity(capacity, 0, per_image=True)(BETA, terms, 0)
    assert batch == each == 300
    assert state["beta"] == state_per_image["beta"] == (100 if capacity < 8 else -100)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("capacity", [0.0, 7.0, 8.0, 9.0, 20.0])
def test_beta_is_the_derivative_of_the_penalty(measured, per_image, capacity):
    more = torch.zeros((), dtype=F64, requires_grad=True)
    terms = measured(kl=8.0 + more)
    penalty, state = Capacity(capacity, 0, per_image)(BETA, terms, 0)
    (slope,) = torch.autograd.grad(penalty, more)
    assert state["beta"] == slope
    assert not state["beta"].requires_grad


def test_below_the_capacity_the_loss_asks_for_more_kl(tiny_vae, x):
    model = tiny_vae()
    terms = elbo_terms(model, x)
    penalty, _ = Capacity(1000.0, 0)(BETA, terms, 0)
    gradients = [
        torch.autograd.grad(value, model.encoder.head.weight, retain_graph=True)[0]
        for value in (penalty, terms.kl.mean())
    ]
    assert torch.allclose(gradients[0], -100 * gradients[1], rtol=1e-12)


def test_capacity_is_a_buffer_and_the_rise_is_not_state():
    assert dict(Capacity(3.0, 10).named_buffers()) == {"capacity": torch.tensor(3.0)}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"capacity": -1, "num_steps": 5}, "capacity"),
        ({"capacity": float("nan"), "num_steps": 5}, "capacity"),
        ({"capacity": float("inf"), "num_steps": 5}, "capacity"),
        ({"capacity": 5, "num_steps": -1}, "num_steps"),
    ],
)
def test_senseless_options_are_rejected_by_name(options, name):
    with pytest.raises(UserError, match=rf"^{name} expects"):
        Capacity(**options)
