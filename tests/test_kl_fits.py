"""Normals fitted to mixtures: known answers, scipy's quadrature, and a linear Gaussian model."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import norm
from torch.distributions import MultivariateNormal

from vaelab.errors import UserError
from vaelab.kl_fits import (
    evaluate,
    fit,
    forward_kl,
    match_moments,
    moments,
    normal_mixture,
    reverse_kl,
    reverse_landscape,
    reverse_optima,
)

F64 = torch.float64
# weights, means, s.d. -> the forward optimum (mean, s.d., KL(p||q), KL(q||p)) and the reverse ones
# (mean, s.d., KL(q||p), KL(p||q)).
NARROW = ((0.7, 0.3), (-2, 2), 0.5)
TABLE = {
    NARROW: (
        (-0.800, 1.900, 0.7242, 2.096),
        [(-2.000, 0.5003, 0.3566, 8.979), (2.000, 0.5006, 1.2038, None)],
    ),
    ((0.7, 0.3), (-3, 3), 1.0): (
        (-1.200, 2.926, 0.4662, 0.946),
        [(-2.991, 1.015, 0.3540, 4.621), (2.973, 1.038, 1.1967, None)],
    ),
    ((0.5, 0.5), (-1, 1), 0.7): (
        (0.0, 1.221, 0.0513, 0.0640),
        [(0.0, 1.167, 0.0603, 0.0534)],
    ),
}
every_mixture = pytest.mark.parametrize("setting", TABLE)


def mixture(setting):
    weights, means, std = setting
    return normal_mixture(
        weights, torch.tensor(means, dtype=F64)[:, None], torch.full((len(means), 1), std**2)
    )


def normal(mean, std):
    return MultivariateNormal(
        torch.tensor([mean], dtype=F64), scale_tril=torch.tensor([[std]], dtype=F64)
    )


def near(found, expected):
    numbers = [found.q.loc.item(), found.q.stddev.item()]
    assert numbers == pytest.approx(expected[:2], abs=1e-3)


@every_mixture
def test_forward_optimum(setting):
    p, expected = mixture(setting), TABLE[setting][0]
    start = normal(1.0, 1.0)
    for found in (evaluate(p, match_moments(p)), fit("forward", p, start)):
        near(found, expected)
        assert [found.forward, found.reverse] == pytest.approx(expected[2:], abs=1e-3)


@every_mixture
def test_reverse_optima(setting):
    found = reverse_optima(mixture(setting))
    assert len(found) == len(TABLE[setting][1])
    for one, expected in zip(found, TABLE[setting][1], strict=True):
        near(one, expected)
        assert one.reverse == pytest.approx(expected[2], abs=1e-3)
        if expected[3] is not None:
            assert one.forward == pytest.approx(expected[3], abs=1e-3)


def test_far_modes_cost_the_weight_that_is_missed():
    found = reverse_optima(mixture(NARROW))
    assert [one.reverse for one in found] == pytest.approx([-np.log(0.7), -np.log(0.3)], abs=2e-4)


@every_mixture
@pytest.mark.parametrize(("mean", "std"), [(0.3, 0.4), (-2.0, 0.5), (1.0, 2.5)])
def test_quadrature_agrees_with_scipy(setting, mean, std):
    weights, means, width = setting
    p, q = mixture(setting), normal(mean, std)

    def log_p(x):
        return logsumexp(norm.logpdf(x, means, width), b=weights)

    def log_q(x):
        return norm.logpdf(x, mean, std)

    points = sorted({mean, *means})
    reverse, _ = quad(
        lambda x: np.exp(log_q(x)) * (log_q(x) - log_p(x)),
        *(mean - 9 * std, mean + 9 * std), limit=500, epsabs=1e-10, points=[mean],
    )  # fmt: skip
    forward, _ = quad(
        lambda x: np.exp(log_p(x)) * (log_p(x) - log_q(x)), -12, 12, limit=500, points=points,
        epsabs=1e-10,
    )  # fmt: skip
    assert reverse_kl(q, p).item() == pytest.approx(reverse, abs=1e-6)
    assert forward_kl(p, q).item() == pytest.approx(forward, abs=1e-6)


def test_of_two_normals_both_are_the_closed_form():
    torch.manual_seed(0)
    a, b = (torch.randn(2, 2, dtype=F64) for _ in range(2))
    covariances = [m @ m.T + torch.eye(2) for m in (a, b)]
    first = MultivariateNormal(torch.tensor([1.0, -0.5], dtype=F64), covariances[0])
    second = MultivariateNormal(torch.zeros(2, dtype=F64), covariances[1])
    p = normal_mixture([1.0], first.loc[None], covariances[0][None])
    kl = torch.distributions.kl_divergence
    assert forward_kl(p, second).item() == pytest.approx(kl(first, second).item(), abs=1e-9)
    assert reverse_kl(second, p).item() == pytest.approx(kl(second, first).item(), abs=1e-9)


def test_a_mixture_of_equal_components_is_one_normal():
    p = mixture(((0.2, 0.8), (1, 1), 0.5))
    (only,) = reverse_optima(p)
    assert only.reverse == pytest.approx(0, abs=1e-9)
    assert only.forward == pytest.approx(0, abs=1e-9)


def test_linear_gaussian_posterior():
    """x = W z + noise: p(z|x) has precision M = I + W^T W / s^2; the fits of independent latents.

    Reverse: variances 1 / M_jj; forward: (M^-1)_jj.
    """
    w, variance = torch.tensor([[1, 0.5], [0.5, 1], [0, 1]], dtype=F64), 0.5
    precision = torch.eye(2, dtype=F64) + w.T @ w / variance
    covariance = precision.inverse()
    p = normal_mixture([1.0], torch.tensor([[0.3, -1.0]], dtype=F64), covariance[None])
    narrow, wide = fit("reverse", p, diagonal=True), fit("forward", p, diagonal=True)
    assert narrow.q.variance.tolist() == pytest.approx((1 / precision.diag()).tolist(), abs=1e-6)
    assert wide.q.variance.tolist() == pytest.approx(covariance.diag().tolist(), abs=1e-6)
    assert (narrow.q.variance < wide.q.variance).all()
    reverse = 0.5 * (precision.diag().log().sum() - precision.logdet())
    forward = 0.5 * (covariance.diag().log().sum() - covariance.logdet())
    assert narrow.reverse == pytest.approx(reverse.item(), abs=1e-6)
    assert wide.forward == pytest.approx(forward.item(), abs=1e-6)
    assert narrow.reverse == pytest.approx(0.1165, abs=5e-5)
    assert wide.forward == pytest.approx(narrow.reverse, abs=1e-6)  # with two latents only
    assert match_moments(p, diagonal=True).variance.tolist() == pytest.approx(
        wide.q.variance.tolist(), abs=1e-6
    )
    full = fit("reverse", p)
    assert full.reverse == pytest.approx(0, abs=1e-8)


def test_moments_are_those_of_samples():
    p = normal_mixture(
        [0.25, 0.75], torch.tensor([[0.0, 2], [1, -1]]), torch.tensor([[1.0, 0.5], [0.3, 2]])
    )
    torch.manual_seed(0)
    draws = p.sample((200_000,))
    mean, covariance = moments(p)
    assert torch.allclose(mean, draws.mean(0), atol=0.02)
    assert torch.allclose(covariance, draws.T.cov(), atol=0.03)


def test_landscape_has_the_minima_of_the_optima():
    p = mixture(NARROW)
    optima = reverse_optima(p)
    means = torch.linspace(-3, 3, 121)
    kl, std = reverse_landscape(p, means)
    lowest = ((kl[1:-1] < kl[:-2]) & (kl[1:-1] < kl[2:])).nonzero().flatten() + 1
    assert means[lowest].tolist() == pytest.approx([-2, 2], abs=0.03)
    values = kl[lowest].tolist()
    assert values == pytest.approx([one.reverse for one in optima], abs=1e-3)
    assert std[lowest].tolist() == pytest.approx([0.5, 0.5], abs=2e-3)
    fixed, same = reverse_landscape(p, means, std=0.5)
    assert (fixed >= kl - 1e-12).all()
    assert same.unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: normal_mixture([0.5], torch.zeros(2, 1), torch.ones(2, 1)), "one row per comp"),
        (lambda: normal_mixture([0.5, 0.6], torch.zeros(2, 1), torch.ones(2, 1)), "add up to 1"),
        (lambda: normal_mixture([1.0], torch.zeros(1, 1), -torch.ones(1, 1)), "positive definite"),
        (lambda: fit("sideways", mixture(NARROW)), "expects one of forward, reverse"),
        (lambda: reverse_landscape(mixture(NARROW), torch.zeros(1), 0.0), "std expects a number"),
        (
            lambda: match_and_evaluate(normal_mixture([1.0], torch.zeros(1, 3), torch.ones(1, 3))),
            "one or two dimensions, got 3",
        ),
    ],
)
def test_bad_input_is_one_sentence(make, message):
    with pytest.raises(UserError, match=message):
        make()


def match_and_evaluate(p):
    return evaluate(p, match_moments(p))
