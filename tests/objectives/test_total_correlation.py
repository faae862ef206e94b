"""Densities of the aggregate posterior from minibatches: weights, level, bias and invariances."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from vaelab.errors import UserError
from vaelab.metrics.aggregate_posterior import log_joint, log_marginal
from vaelab.metrics.decomposition import elbo_decomposition
from vaelab.objectives.total_correlation import (
    LOG_WEIGHTS,
    aggregate,
    constant_free,
    exact,
    mss,
    mws,
    pair_log_densities,
    total_correlation,
)

F64 = torch.float64


def normals(num, latents=3):
    return torch.randn(num, latents, dtype=F64), torch.rand(num, latents, dtype=F64) + 0.5


def draw(mu, sigma):
    return mu + sigma * torch.randn_like(mu)


def estimate(log_weights, num_train, z, mu, sigma):
    """The total correlation by weights of a minibatch."""
    pairs = pair_log_densities(z, mu, sigma)
    return total_correlation(*aggregate(pairs, log_weights(len(mu), num_train, pairs)))


def test_pair_densities_and_mixtures_equal_slow_loops():
    mu, sigma = normals(4)
    z, weights = draw(mu, sigma)[:3], torch.rand(3, 4, dtype=F64)
    joint, marginals = aggregate(pair_log_densities(z, mu, sigma), weights.log())
    for i in range(3):
        product, single = 0.0, [0.0] * 3
        for n in range(4):
            densities = [
                math.exp(-(((z[i, j] - mu[n, j]) / sigma[n, j]) ** 2) / 2)
                / (sigma[n, j].item() * math.sqrt(2 * math.pi))
                for j in range(3)
            ]
            product += weights[i, n].item() * math.prod(densities)
            single = [s + weights[i, n].item() * d for s, d in zip(single, densities, strict=True)]
        assert joint[i].item() == pytest.approx(math.log(product), rel=1e-12)
        assert marginals[i].tolist() == pytest.approx([math.log(s) for s in single], rel=1e-12)


@pytest.mark.parametrize(("batch", "num_train"), [(2, 2), (2, 9), (3, 5), (64, 64), (64, 20_000)])
def test_stratified_weights_sum_to_1_with_1_over_n_on_the_diagonal(batch, num_train):
    weights = mss(batch, num_train, torch.zeros(1, dtype=F64)).exp()
    assert torch.allclose(weights.sum(1), torch.ones(batch, dtype=F64), rtol=1e-12)
    assert torch.allclose(weights.sum(0), torch.ones(batch, dtype=F64), rtol=1e-12)
    assert torch.allclose(weights.diagonal(), torch.tensor(1 / num_train, dtype=F64), rtol=1e-12)
    others = weights[~torch.eye(batch, dtype=torch.bool)]
    assert torch.allclose(others, others[:1], rtol=1e-12)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_stratified_densities_are_unbiased_over_all_batches(position):
    """N = 5, B = 3: the mean over every batch that holds the image of z is q(z) exactly."""
    mu, sigma = normals(5)
    own, z = 2, torch.randn(1, 3, dtype=F64)
    estimates = []
    for others in itertools.permutations([n for n in range(5) if n != own], 2):
        batch = list(others)
        batch.insert(position, own)
        log_weights = mss(3, 5, z)[position : position + 1]
        pairs = pair_log_densities(z, mu[batch], sigma[batch])
        estimates.append([density.exp() for density in aggregate(pairs, log_weights)])
    each = pair_log_densities(z, mu, sigma)[0].exp()
    joint, marginals = (torch.stack(one).mean(0) for one in zip(*estimates, strict=True))
    assert len(estimates) == 12
    assert torch.allclose(joint, each.prod(1).mean(), rtol=1e-12)
    assert torch.allclose(marginals, each.mean(0), rtol=1e-12)


@pytest.mark.parametrize("chunk", [1, 7, 20, 1000])
def test_exact_equals_the_mixture_of_torch_and_the_metric(chunk):
    mu, sigma = normals(20)
    z = draw(mu, sigma)[:6]
    joint, marginals = exact(z, mu, sigma, chunk)
    log_q = Normal(mu, sigma).log_prob(z[:, None])
    assert torch.allclose(joint, log_q.sum(2).exp().mean(1).log(), rtol=1e-12)
    assert torch.allclose(marginals, log_q.exp().mean(1).log(), rtol=1e-12)
    arrays = z.numpy(), mu.numpy(), sigma.numpy()
    assert joint.numpy() == pytest.approx(log_joint(*arrays), rel=1e-10)
    columns = [log_marginal(*(array[:, j] for array in arrays)) for j in range(3)]
    assert marginals.numpy() == pytest.approx(np.stack(columns, 1), rel=1e-5)


def test_exact_total_correlation_agrees_with_the_metric():
    mu, sigma = normals(30)
    mu[:, 1] = mu[:, 0] * 3
    z = draw(mu.repeat(500, 1), sigma.repeat(500, 1))
    joint, marginals = exact(z, mu, sigma)
    tc = (joint - marginals.sum(1)).mean().item()
    metric = elbo_decomposition(mu.numpy(), sigma.numpy(), num_samples=15_000)["total_correlation"]
    assert tc == pytest.approx(metric.value, abs=0.03)
    assert tc > 0.2
    assert total_correlation(joint, marginals).item() == pytest.approx(tc)


def test_exact_is_differentiable():
    mu, sigma = normals(5)
    inputs = tuple(t.requires_grad_() for t in (torch.randn(3, 3, dtype=F64), mu, sigma))
    assert torch.autograd.gradcheck(lambda *args: exact(*args, chunk=2), inputs)


def test_gaussian_aggregate_has_the_closed_form():
    """mu ~ N(0, S): q(z) = N(0, S + sigma^2 I), TC = -1/2 ln det of its correlation matrix."""
    torch.manual_seed(0)
    sigma2 = 0.3
    matrix = torch.tensor([[1.0, 0.7, 0.2], [0.7, 1.5, -0.4], [0.2, -0.4, 0.8]], dtype=F64)
    mu = MultivariateNormal(torch.zeros(3, dtype=F64), matrix).sample((2048,))
    sigma = torch.full_like(mu, math.sqrt(sigma2))
    total = matrix + sigma2 * torch.eye(3, dtype=F64)
    scale = total.diagonal().rsqrt()
    tc = -0.5 * torch.logdet(scale[:, None] * total * scale).item()
    assert tc > 0.2
    joint, marginals = exact(draw(mu, sigma)[:1024], mu, sigma)
    spread = (joint - marginals.sum(1)).std().item() / math.sqrt(1024)
    assert spread < 0.03
    assert total_correlation(joint, marginals).item() == pytest.approx(tc, abs=3 * spread)
    batches = torch.randperm(2048).view(-1, 256)
    estimates = [estimate(mss, 2048, draw(mu[b], sigma[b]), mu[b], sigma[b]) for b in batches]
    assert torch.stack(estimates).mean().item() == pytest.approx(tc, abs=0.04)


def column_0(batch, num_train, like):
    """The weights of the published code, whose stride walks down the first column."""
    m = batch - 1
    weights = torch.full((batch, batch), 1 / m)
    weights[:, 0], weights[:, 1] = 1 / num_train, (num_train - m) / (num_train * m)
    return weights.log()


def test_level_on_independent_latents():
    """D = 10, B = 64, N = 20,000: only the diagonal stratified weights have the right level."""
    torch.manual_seed(0)
    num_train, latents, size = 20_000, 10, 64
    mu, sigma = torch.randn(num_train, latents), torch.full((num_train, latents), 1 / 3)
    tc, mi = {}, {}
    batches = torch.randperm(num_train)[: 40 * size].view(40, size)
    samples = [draw(mu[b], sigma[b]) for b in batches]

    def record(name, joint, marginals, z, b):
        own = Normal(mu[b], sigma[b]).log_prob(z).sum(1)
        tc.setdefault(name, []).append((joint - marginals.sum(1)).mean().item())
        mi.setdefault(name, []).append((own - joint).mean().item())

    for b, z in zip(batches, samples, strict=True):
        pairs = pair_log_densities(z, mu[b], sigma[b])
        for name, log_weights in {**LOG_WEIGHTS, "column_0": column_0}.items():
            record(name, *aggregate(pairs, log_weights(size, num_train, pairs)), z, b)
    z, b = torch.cat(samples[:10]), batches[:10].flatten()
    joint = torch.from_numpy(log_joint(z.numpy(), mu.numpy(), sigma.numpy()))
    columns = [
        log_marginal(z[:, j].numpy(), mu[:, j].numpy(), sigma[:, j].numpy()) for j in range(10)
    ]
    record("exact", joint, torch.from_numpy(np.stack(columns, 1)), z, b)
    tc, mi = ({name: np.mean(v) for name, v in d.items()} for d in (tc, mi))
    assert tc["mss"] == pytest.approx(tc["exact"], rel=0.15)
    assert mi["mss"] == pytest.approx(mi["exact"], rel=0.15)
    assert tc["column_0"] > 2 * tc["exact"]
    assert mi["column_0"] < 0.6 * mi["exact"]
    assert tc["column_0"] == pytest.approx(6.9, abs=0.2)
    assert tc["mws"] == pytest.approx(96, abs=0.5)
    assert tc["constant_free"] == pytest.approx(-30.5, abs=0.5)
    constant = (latents - 1) * math.log(num_train * size)
    assert tc["mws"] - tc["constant_free"] == pytest.approx(constant, abs=1e-3)


def gradients(log_weights, num_train, z, mu, sigma):
    inputs = [t.clone().requires_grad_() for t in (z, mu, sigma)]
    estimate(log_weights, num_train, *inputs).backward()
    return torch.cat([t.grad.flatten() for t in inputs])


def test_constant_free_and_weighted_sampling_have_the_same_gradient():
    mu, sigma = normals(6)
    z = draw(mu, sigma)
    free, weighted = (gradients(w, 1000, z, mu, sigma) for w in (constant_free, mws))
    assert torch.allclose(free, weighted, rtol=0, atol=1e-12)
    assert free.abs().max() > 0.01
    assert (gradients(mss, 1000, z, mu, sigma) - free).abs().max() > 0.01


@pytest.mark.parametrize("name", LOG_WEIGHTS)
def test_one_latent_has_no_total_correlation(name):
    mu, sigma = normals(6, latents=1)
    assert estimate(LOG_WEIGHTS[name], 50, draw(mu, sigma), mu, sigma).abs() < 1e-12


def test_collapsed_posteriors_have_no_total_correlation_by_stratified_and_exact():
    """q(z|x) = N(0, I) for every x: the level of the other two is their constant alone."""
    z, mu = torch.randn(8, 4, dtype=F64), torch.zeros(8, 4, dtype=F64)
    sigma = torch.ones_like(mu)
    assert total_correlation(*exact(z, mu, sigma)).abs() < 1e-12
    assert estimate(mss, 100, z, mu, sigma).abs() < 1e-12
    assert estimate(constant_free, 100, z, mu, sigma).item() == pytest.approx(-3 * math.log(8))
    assert estimate(mws, 100, z, mu, sigma).item() == pytest.approx(3 * math.log(100))


@pytest.mark.parametrize("name", LOG_WEIGHTS)
def test_renaming_and_scaling_latents_changes_nothing(name):
    mu, sigma = normals(6)
    z, order = draw(mu, sigma), torch.tensor([2, 0, 1])
    before = estimate(LOG_WEIGHTS[name], 50, z, mu, sigma)
    after = estimate(LOG_WEIGHTS[name], 50, *(t[:, order] for t in (z, mu, sigma)))
    assert torch.allclose(after, before, rtol=1e-12)
    scale, shift = torch.tensor([0.5, 3.0, 7.0], dtype=F64), torch.tensor(2.0, dtype=F64)
    after = estimate(LOG_WEIGHTS[name], 50, z * scale + shift, mu * scale + shift, sigma * scale)
    assert torch.allclose(after, before, rtol=1e-10)


@pytest.mark.parametrize("name", LOG_WEIGHTS)
def test_far_samples_stay_finite_in_float32(name):
    mu = torch.tensor([[0.0, 0.0], [1e4, -1e4], [5.0, 1e3]])
    sigma = torch.full_like(mu, 1e-3)
    inputs = [t.requires_grad_() for t in (mu.clone(), mu, sigma)]
    estimate(LOG_WEIGHTS[name], 50, *inputs).backward()
    assert all(t.grad.isfinite().all() for t in inputs)


def test_a_single_image_is_rejected():
    with pytest.raises(UserError, match=r"^batch_size .* expects at least 2 images, got 1"):
        mss(1, 10, torch.zeros(1))
