"""GECO: its update, that it meets its target, and what it keeps."""

import math

import pytest
import torch

from vaelab.errors import UserError
from vaelab.kl_penalties import Geco
from vaelab.objectives import BetaVAE

F64 = torch.float64
ONE = torch.tensor(1.0)


def weights(kl_penalty, measured, reconstructions, beta=ONE):
    return [
        kl_penalty(beta, measured(reconstruction=value), step)[1]["beta"].item()
        for step, value in enumerate(reconstructions)
    ]


def test_weights_are_those_of_the_algorithm(measured):
    reconstructions = [90.0, 120.0, 60.0, 55.0, 70.0, 10.0, 300.0]
    kl_penalty = Geco(65.0, rate=0.01, momentum=0.9)
    log_lambda, average, expected = 0.0, None, []
    for value in reconstructions:
        expected.append(4 * math.exp(-log_lambda))
        constraint = value - 65.0
        average = constraint if average is None else 0.9 * average + 0.1 * constraint
        log_lambda += 0.01 * average
    got = weights(kl_penalty, measured, reconstructions, torch.tensor(4.0))
    assert got == pytest.approx(expected, rel=1e-5)
    assert kl_penalty.log_lambda.item() == pytest.approx(log_lambda, rel=1e-5)


def test_gradient_is_that_of_the_loss_of_the_paper_up_to_lambda(tiny_vae):
    x, model = torch.rand(6, 1, 4, 4, dtype=F64).round(), tiny_vae()
    kl_penalty = Geco(5.0)
    with torch.no_grad():
        kl_penalty.log_lambda.fill_(1.3)
    terms = BetaVAE(1.0, kl_penalty)(model, x, 0)
    paper_loss = terms["kl"] + math.exp(1.3) * (terms["reconstruction"] - 5.0)
    ours, paper = (
        torch.autograd.grad(loss, model.encoder.head.weight, retain_graph=True)[0]
        for loss in (terms["loss"], paper_loss)
    )
    assert torch.allclose(paper, math.exp(1.3) * ours, rtol=1e-6)


@pytest.mark.parametrize("target", [12.0, 20.0, 30.0])
def test_constraint_of_a_simple_model_is_met(measured, target):
    """Its reconstruction follows 10 + 8 ln(1 + weight) with a lag of 20 steps."""
    kl_penalty, value = Geco(target, rate=3e-3, momentum=0.9), 60.0
    for step in range(2500):
        weight = kl_penalty(ONE, measured(reconstruction=value), step)[1]["beta"].item()
        value += 0.05 * (10 + 8 * math.log1p(weight) - value)
    assert value == pytest.approx(target, abs=0.01)
    assert weight == pytest.approx(math.exp((target - 10) / 8) - 1, rel=0.01)


@pytest.mark.parametrize("reconstruction", [-1e6, 1e6])
def test_weight_stays_in_its_bounds_and_comes_back_from_them(measured, reconstruction):
    kl_penalty = Geco(0.0, rate=1e-2, momentum=0.0, lambda_min=0.1, lambda_max=20.0)
    beta = torch.tensor(2.0)
    far = weights(kl_penalty, measured, [reconstruction] * 50, beta)
    assert min(far) >= 0.1 - 1e-6
    assert max(far) <= 20 + 1e-5
    assert far[-1] == pytest.approx(0.1 if reconstruction > 0 else 20)
    back = weights(kl_penalty, measured, [-math.copysign(50, reconstruction)] * 2, beta)
    assert back[1] / back[0] == pytest.approx(math.exp(math.copysign(0.5, reconstruction)))


def test_evaluation_does_not_change_the_state(measured):
    kl_penalty = Geco(5.0)
    weights(kl_penalty, measured, [9.0, 8.0])
    before = {name: value.clone() for name, value in kl_penalty.state_dict().items()}
    kl_penalty.eval()
    first, second = weights(kl_penalty, measured, [100.0, -100.0])
    assert first == second
    assert all(torch.equal(value, before[name]) for name, value in kl_penalty.state_dict().items())


def test_state_is_all_that_resuming_needs(measured):
    values = [50.0, 20.0, 70.0, 30.0, 40.0, 10.0]
    whole, first, second = (Geco(30.0, rate=0.01) for _ in range(3))
    expected = weights(whole, measured, values)
    interrupted = weights(first, measured, values[:3])
    second.load_state_dict(first.state_dict())
    assert interrupted + weights(second, measured, values[3:]) == expected


def test_a_real_model_meets_its_target(tiny_vae):
    x = torch.rand(8, 1, 4, 4, dtype=F64).round()
    kl_penalty = Geco(6.0, rate=3e-3, momentum=0.9)
    model, objective, seen = tiny_vae(hidden=(32,)), BetaVAE(1.0, kl_penalty), []
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(400):
        terms = objective(model, x, step)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        seen.append(terms["reconstruction"].item())
    assert sum(seen[-100:]) / 100 == pytest.approx(6.0, abs=0.3)
    assert terms["beta"] > 1.1 or terms["beta"] < 0.9


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"target": float("nan")}, "target"),
        ({"target": 5, "rate": 0}, "rate"),
        ({"target": 5, "rate": -1}, "rate"),
        ({"target": 5, "momentum": 1}, "momentum"),
        ({"target": 5, "momentum": -0.1}, "momentum"),
        ({"target": 5, "lambda_min": 0}, "lambda_min"),
        ({"target": 5, "lambda_min": 2}, "lambda_min"),
        ({"target": 5, "lambda_max": 0.5}, "lambda_max"),
    ],
)
def test_senseless_options_are_rejected_by_name(options, name):
    with pytest.raises(UserError, match=rf"^{name} expects"):
        Geco(**options)
