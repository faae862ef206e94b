"""L_K and AIS where log p(x) is known: a linear Gaussian model, and one latent on a grid."""

import math

import pytest
import torch

from vaelab.distributions import effective_sample_size, log_mean_weight
from vaelab.metrics.ais import ais_log_likelihood, anneal, bidirectional_ais
from vaelab.metrics.importance_weighted import (
    importance_log_weights,
    importance_weighted_bound,
)

F64 = torch.float64


@pytest.fixture
def one_latent(tiny_vae):
    """(model, x, log p(x)): a nonlinear decoder of one latent, p(x) summed over a grid of z."""
    model = tiny_vae(latent_dim=1)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(4)
    x = (torch.rand(4, 1, 4, 4) < 0.5).double()
    z = torch.linspace(-9, 9, 6001, dtype=F64)
    with torch.no_grad():
        log_joint = model.prior().log_prob(z[:, None])[:, None] + model.decode(
            z[:, None, None].expand(-1, len(x), 1)
        ).log_prob(x)
    return model.eval(), x, log_joint.logsumexp(0) + math.log(z[1] - z[0])


def five_standard_errors(log_weights):
    """Of log mean w, by the delta method: 5 sqrt(Var(w) / K) / E[w], from (B, K)."""
    num = log_weights.shape[-1]
    return 5 * ((num / effective_sample_size(log_weights) - 1) / num).sqrt() + 1e-9


def test_the_exact_posterior_makes_every_sample_exact(linear_gaussian):
    model, x, log_p = linear_gaussian
    torch.testing.assert_close(importance_weighted_bound(model, x, 1), log_p)
    torch.testing.assert_close(importance_weighted_bound(model, x, 7, seed=3), log_p)


def test_with_a_wrong_posterior_the_bound_rises_to_log_p(linear_gaussian, spoil):
    model, x, log_p = linear_gaussian
    spoil(model)
    gaps = {
        k: torch.stack([log_p - importance_weighted_bound(model, x, k, seed=s) for s in range(20)])
        for k in (1, 5, 50)
    }
    one, five, fifty = (gaps[k].mean() for k in (1, 5, 50))
    assert one > 2 * five > 4 * fifty > -4 * 3 * gaps[50].std() / gaps[50].numel() ** 0.5
    assert one > 0.5  # nats: the posterior is wrong enough to matter


@pytest.mark.parametrize("which", ["linear_gaussian", "one_latent"])
def test_many_samples_reach_log_p(which, request, spoil):
    model, x, log_p = request.getfixturevalue(which)
    if which == "linear_gaussian":
        spoil(model)
    weights = torch.stack(
        [importance_log_weights(model, image[None], 5000, 0, i) for i, image in enumerate(x)]
    )
    error = (log_mean_weight(weights) - log_p).abs()
    assert bool((error < five_standard_errors(weights)).all())
    assert bool((five_standard_errors(weights) < 0.3).all())


@pytest.mark.parametrize("which", ["linear_gaussian", "one_latent"])
def test_annealing_reaches_log_p(which, request):
    model, x, log_p = request.getfixturevalue(which)
    annealed = anneal(model, x, 64, 120, seed=0, number=0)
    weights = annealed.log_weights.T
    error = (log_mean_weight(weights) - log_p).abs()
    assert bool((error < five_standard_errors(weights)).all())
    assert bool((five_standard_errors(weights) < 0.6).all())
    assert bool(((annealed.acceptance > 0.4) & (annealed.acceptance < 0.95)).all())


def test_annealing_never_looks_at_the_encoder(linear_gaussian, spoil):
    model, x, _ = linear_gaussian
    before = ais_log_likelihood(model, x, 2, 5)
    spoil(model)
    assert torch.equal(ais_log_likelihood(model, x, 2, 5), before)


def test_few_temperatures_are_unbiased_in_p_and_too_low_in_log_p(linear_gaussian):
    """E[w] = p(x) for any number of temperatures, so that E[log w] < log p(x)."""
    model, x, log_p = linear_gaussian
    gaps = {}
    for temperatures in (4, 40):
        weights = anneal(model, x, 800, temperatures, seed=1, number=0).log_weights.T
        error = (log_mean_weight(weights) - log_p).abs()
        assert bool((error < five_standard_errors(weights)).all())
        gaps[temperatures] = log_p - weights.mean(1)
        assert bool((gaps[temperatures] > 0).all())
    # Neal 2001: the spread of log w falls as 1 / temperatures if the transitions mix.
    assert bool((gaps[40] < 0.3 * gaps[4]).all())


def log_p_of(model, x):
    """log p(x) of a linear Gaussian model, from its weights."""
    w, b = model.decoder.head.weight.detach(), model.decoder.head.bias.detach()
    covariance = w @ w.T + float(
        model.decode(torch.zeros(1, w.shape[1], dtype=F64)).variance[0, 0, 0, 0]
    ) * torch.eye(len(b), dtype=F64)
    return torch.distributions.MultivariateNormal(b, covariance).log_prob(x.flatten(1))


def test_annealing_in_both_directions_holds_log_p_and_closes(linear_gaussian):
    model, *_ = linear_gaussian
    gaps = []
    for temperatures in (4, 100):
        x, lower, upper = bidirectional_ais(model, 40, 8, temperatures)
        log_p = log_p_of(model, x)
        # b nats on the wrong side have probability exp(-b), for each image and direction.
        assert bool((lower < log_p + 9).all())
        assert bool((upper > log_p - 9).all())
        for error in (log_p - lower, upper - log_p):
            assert error.mean() > -3 * error.std() / 40**0.5
        gaps.append((upper - lower).mean())
    assert gaps[0] > 0.3
    assert -0.05 < gaps[1] < 0.3 * gaps[0]


def test_reversed_chains_have_the_inverse_of_p_as_their_mean_weight(linear_gaussian):
    """E[1/w] = 1/p(x), over z ~ p(z|x), for any number of temperatures."""
    model, *_ = linear_gaussian
    x, _, upper = bidirectional_ais(model, 400, 8, 20)
    ratio = (log_p_of(model, x) - upper).exp()  # p(x) / w
    error = float(ratio.std()) / 400**0.5
    assert abs(float(ratio.mean()) - 1) < 4 * error < 0.25
    assert float(ratio.std()) > 0.2


def test_annealing_in_both_directions_draws_its_noise_from_the_seed(linear_gaussian):
    model, *_ = linear_gaussian
    state = torch.get_rng_state()
    first, second = (bidirectional_ais(model, 18, 2, 3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    assert not torch.equal(first.x, bidirectional_ais(model, 18, 2, 3, seed=1).x)
