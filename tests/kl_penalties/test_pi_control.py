"""The PI controller: its law, that it settles on its target, and its behaviour at the bounds."""

import math

import pytest
import torch

from vaelab.errors import UserError
from vaelab.kl_penalties import PIControl
from vaelab.objectives import BetaVAE

F64 = torch.float64
FOUR = torch.tensor(4.0)


def weights(kl_penalty, measured, kls, beta=FOUR):
    return [kl_penalty(beta, measured(kl), step)[1]["beta"].item() for step, kl in enumerate(kls)]


def test_between_the_bounds_the_weight_is_the_law_of_the_paper(measured):
    kls = [15.0, 12.0, 11.0, 9.5, 10.5, 13.0, 8.0, 10.0]
    errors = [10.0 - kl for kl in kls]
    expected = [
        0.5 / (1 + math.exp(error)) - 0.02 * sum(errors[: t + 1]) + 0.3
        for t, error in enumerate(errors)
    ]
    assert all(0.3 < weight < 4 for weight in expected)
    got = weights(PIControl(10.0, kp=0.5, ki=0.02, beta_min=0.3), measured, kls)
    assert got == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("target", "beta_min"), [(5.0, 0.0), (6.0, 1.0), (16.0, 0.1)])
def test_a_simple_model_settles_on_the_target_without_error(measured, target, beta_min):
    """Its KL follows 20 / (1 + weight) with a lag of 20 steps."""
    kl_penalty, kl = PIControl(target, ki=0.005, beta_min=beta_min), 0.0
    for step in range(2500):
        weight = kl_penalty(FOUR, measured(kl), step)[1]["beta"].item()
        assert beta_min <= weight <= 4
        kl += 0.05 * (20 / (1 + weight) - kl)
    assert kl == pytest.approx(target, abs=1e-3)
    assert weight == pytest.approx(20 / target - 1, rel=1e-3)


@pytest.mark.parametrize(("kl", "bound"), [(1000.0, 4.0), (0.0, 0.5)])
def test_at_a_bound_nothing_winds_up(measured, kl, bound):
    """However long the error stayed, one of the other sign moves the weight at once."""
    kl_penalty = PIControl(50.0, kp=0.01, ki=0.001, beta_min=0.5)
    far = weights(kl_penalty, measured, [kl] * 200 + [0.99 * kl] * 100)
    assert far[-1] == pytest.approx(bound)
    assert all(0.5 <= weight <= 4 for weight in far)
    for other in (45.0, 44.0) if kl > 50 else (55.0, 56.0):
        (weight,) = weights(kl_penalty, measured, [other])
    state = 0.001 * (5 + 6) * (-1 if kl > 50 else 1)
    assert weight - bound == pytest.approx(state, abs=0.0101)  # and the proportional part
    assert abs(weight - bound) > 0.01


def test_beta_below_beta_min_is_the_weight(measured):
    kl_penalty = PIControl(10.0, beta_min=1.0)
    got = weights(kl_penalty, measured, [50.0, 0.0, 10.0], torch.tensor(0.5))
    assert got == [0.5, 0.5, 0.5]


def test_target_rises_on_a_straight_line(measured):
    """With a KL that follows, the integral stays as it is."""
    kl_penalty = PIControl(10.0, kp=0.0, num_steps=100)
    weights(kl_penalty, measured, [20.0])
    start = kl_penalty.integral.item()
    for step in (0, 25, 50, 100, 1000):
        kl_penalty(FOUR, measured(10.0 * min(1, step / 100)), step)
        assert kl_penalty.integral.item() == pytest.approx(start, abs=1e-7)
    kl_penalty(FOUR, measured(10.0), 25)
    assert kl_penalty.integral.item() == pytest.approx(start + 0.001 * 7.5, abs=1e-7)


def test_evaluation_does_not_change_the_state(measured):
    kl_penalty = PIControl(5.0)
    weights(kl_penalty, measured, [90.0, 80.0])
    before = kl_penalty.integral.clone()
    kl_penalty.eval()
    weights(kl_penalty, measured, [100.0, 0.0])
    assert torch.equal(kl_penalty.integral, before)
    assert before > 0.1


def test_state_is_all_that_resuming_needs(measured):
    kls = [50.0, 20.0, 70.0, 30.0, 40.0, 10.0]
    whole, first, second = (PIControl(25.0) for _ in range(3))
    expected = weights(whole, measured, kls)
    interrupted = weights(first, measured, kls[:3])
    second.load_state_dict(first.state_dict())
    assert interrupted + weights(second, measured, kls[3:]) == expected


def test_a_weight_has_no_gradient(tiny_vae):
    model, x = tiny_vae(), torch.rand(6, 1, 4, 4, dtype=F64).round()
    terms = BetaVAE(4.0, PIControl(0.0, ki=0.5))(model, x, 0)
    assert not terms["beta"].requires_grad
    assert terms["beta"] > 0.02
    loss = terms["reconstruction"] + terms["beta"] * terms["kl"]
    assert torch.allclose(terms["loss"], loss, rtol=1e-6)


@pytest.mark.parametrize("target", [1.0, 2.5])
def test_a_real_model_comes_to_its_target(tiny_vae, target):
    x = torch.rand(8, 1, 4, 4, dtype=F64).round()
    kl_penalty = PIControl(target, ki=0.01)
    model, objective, seen = tiny_vae(hidden=(32,)), BetaVAE(20.0, kl_penalty), []
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(700):
        terms = objective(model, x, step)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        seen.append(terms["kl"].item())
    assert sum(seen[-200:]) / 200 == pytest.approx(target, abs=0.1)
    assert 0.01 < terms["beta"] < 20


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"target": -1}, "target"),
        ({"target": float("inf")}, "target"),
        ({"target": 5, "kp": -1}, "kp"),
        ({"target": 5, "ki": 0}, "ki"),
        ({"target": 5, "beta_min": -0.1}, "beta_min"),
        ({"target": 5, "num_steps": -1}, "num_steps"),
    ],
)
def test_senseless_options_are_rejected_by_name(options, name):
    with pytest.raises(UserError, match=rf"^{name} expects"):
        PIControl(**options)
