"""The normal of full covariance: its density, its KL, and what it gains over the diagonal one."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal

from vaelab.distributed import split_over_processes
from vaelab.distributions import DiagonalNormal, kl_divergence, kl_per_latent
from vaelab.elbo import elbo_terms
from vaelab.posteriors import FullCovariance, Gaussian

F64 = torch.float64


def posterior(latent_dim, num=4):
    module = FullCovariance(latent_dim)
    return module(torch.randn(num, module.num_params, dtype=F64))


def normal(mu, sigma):
    return Independent(Normal(mu, sigma), 1)


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_numbers_become_mean_log_variances_and_what_is_below_the_diagonal(latent_dim):
    module = FullCovariance(latent_dim)
    assert module.num_params == latent_dim + latent_dim * (latent_dim + 1) // 2
    raw = torch.randn(3, module.num_params, dtype=F64)
    q = module(raw)
    assert torch.equal(q.loc, raw[:, :latent_dim])
    factor = q.scale_tril
    log_variance = raw[:, latent_dim : 2 * latent_dim]
    assert torch.allclose(factor.diagonal(dim1=1, dim2=2).log() * 2, log_variance, atol=1e-12)
    assert (factor.triu(1) == 0).all()
    below = [factor[:, i, j] for i in range(latent_dim) for j in range(i)]
    if below:
        assert torch.equal(torch.stack(below, 1), raw[:, 2 * latent_dim :])


def test_with_nothing_below_the_diagonal_it_is_the_gaussian_posterior():
    module, z = FullCovariance(3), torch.randn(4, 3, dtype=F64)
    raw = torch.randn(4, 6, dtype=F64)
    full = module(torch.cat([raw, torch.zeros(4, 3, dtype=F64)], 1))
    diagonal = Gaussian(3)(raw)
    assert torch.allclose(full.log_prob(z), diagonal.log_prob(z), rtol=0, atol=1e-10)
    torch.manual_seed(0)
    sample = full.rsample((2,))
    torch.manual_seed(0)
    assert torch.allclose(sample, diagonal.rsample((2,)), rtol=0, atol=1e-12)
    p = normal(torch.zeros(3, dtype=F64), torch.ones(3, dtype=F64))
    expected = kl_divergence(diagonal, p)
    assert torch.allclose(kl_divergence(full, p), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("latent_dim", [1, 2, 6])
def test_kl_is_that_of_two_multivariate_normals(latent_dim):
    q = posterior(latent_dim)
    mu, sigma = torch.randn(latent_dim, dtype=F64), torch.rand(latent_dim, dtype=F64) + 0.3
    covariance = q.scale_tril @ q.scale_tril.mT
    expected = torch.distributions.kl_divergence(
        MultivariateNormal(q.loc, covariance), MultivariateNormal(mu, torch.diag(sigma**2))
    )
    kl = kl_divergence(q, normal(mu, sigma))
    assert kl.shape == (4,)
    assert torch.allclose(kl, expected, rtol=1e-9)


def test_kl_is_none_per_latent_and_by_samples_to_other_priors():
    q = posterior(2)
    standard = normal(torch.zeros(2, dtype=F64), torch.ones(2, dtype=F64))
    assert kl_per_latent(q, standard) is None
    p = Independent(Laplace(torch.zeros(2, dtype=F64), torch.ones(2, dtype=F64)), 1)
    z = q.rsample((5,))
    expected = (q.log_prob(z) - p.log_prob(z)).mean(0)
    assert torch.allclose(kl_divergence(q, p, z), expected, rtol=0, atol=1e-12)


def test_samples_have_the_mean_and_covariance():
    q, num = posterior(3, num=1), 100_000
    torch.manual_seed(0)
    z = q.sample((num,))[:, 0]
    covariance = q.covariance_matrix[0]
    scale = float(covariance.diag().max())
    assert torch.allclose(z.mean(0), q.mean[0], rtol=0, atol=5 * (scale / num) ** 0.5)
    assert torch.allclose(z.T.cov(), covariance, rtol=0, atol=5 * scale * (2 / num) ** 0.5)
    assert torch.allclose(q.stddev[0], covariance.diag().sqrt(), rtol=1e-10)
    assert not z.requires_grad


def test_gradients_reach_every_number_of_the_encoder():
    module = FullCovariance(3)
    raw = torch.randn(2, module.num_params, dtype=F64, requires_grad=True)
    z = torch.randn(2, 3, dtype=F64)
    standard = normal(torch.zeros(3, dtype=F64), torch.ones(3, dtype=F64))
    assert gradcheck(lambda r: module(r).log_prob(z), (raw,))
    assert gradcheck(lambda r: kl_divergence(module(r), standard), (raw,))

    def sample(r):
        torch.manual_seed(0)
        return module(r).rsample((2,))

    assert gradcheck(sample, (raw,))
    (gradient,) = torch.autograd.grad(sample(raw).square().sum(), raw)
    assert (gradient != 0).all()


def test_two_processes_draw_the_noise_of_one():
    module = FullCovariance(2)
    raw = torch.randn(6, module.num_params, dtype=F64)
    torch.manual_seed(1)
    whole, parts = module(raw).rsample((3,)), []
    for rank in range(2):
        torch.manual_seed(1)
        with split_over_processes(rank, 2):
            parts.append(module(raw.chunk(2)[rank]).rsample((3,)))
    assert torch.allclose(torch.cat(parts, 1), whole, rtol=0, atol=1e-12)


def test_expands_to_a_larger_batch():
    q = posterior(2, num=1)
    wide = q.expand((3,))
    torch.manual_seed(1)
    assert wide.rsample().shape == (3, 2)
    z = torch.randn(3, 2, dtype=F64)
    assert torch.allclose(wide.log_prob(z), q.log_prob(z), rtol=0, atol=1e-12)


def cubature(monkeypatch):
    """Noise of 2L points with mean 0 and covariance I: quadratic functions of z average exactly."""
    corners = math.sqrt(2) * torch.eye(2, dtype=F64)
    noise = torch.cat([corners, -corners])[:, None].expand(4, 5, 2)
    for file in ("cholesky_normal", "diagonal_normal"):
        name = f"vaelab.distributions.{file}.standard_normal_noise"
        monkeypatch.setattr(name, lambda shape, batch_dim, like: noise)


def test_elbo_reaches_the_evidence_where_the_posterior_is_correlated(correlated, monkeypatch):
    cubature(monkeypatch)
    model, x, log_evidence, mean, covariance, gain = correlated(FullCovariance)
    factor = torch.linalg.cholesky(covariance)
    with torch.no_grad():
        head = model.encoder.head
        head.weight.zero_()
        head.weight[:2] = gain
        head.bias.copy_(
            torch.tensor([0, 0, 2 * factor[0, 0].log(), 2 * factor[1, 1].log(), factor[1, 0]])
        )
        terms = elbo_terms(model, x, num_samples=4)
    assert torch.allclose(terms.q_z.mean, mean, rtol=0, atol=1e-10)
    elbo = -(terms.reconstruction + terms.kl)
    assert torch.allclose(elbo, log_evidence, rtol=0, atol=1e-6)


def test_the_best_diagonal_normal_misses_it_by_the_correlation(correlated, monkeypatch):
    """The best has the exact mean and precisions: the gap is -1/2 log(1 - correlation^2)."""
    cubature(monkeypatch)
    model, x, log_evidence, _, covariance, gain = correlated(Gaussian)
    precision = torch.linalg.inv(covariance).diag()
    with torch.no_grad():
        head = model.encoder.head
        head.weight.zero_()
        head.weight[:2] = gain
        head.bias.copy_(torch.cat([torch.zeros(2), -precision.log()]))
        terms = elbo_terms(model, x, num_samples=4)
    gap = log_evidence + terms.reconstruction + terms.kl
    squared = covariance[0, 1] ** 2 / (covariance[0, 0] * covariance[1, 1])
    expected = -0.5 * (1 - squared).log()
    assert expected > 0.3
    assert torch.allclose(gap, expected.expand(5), rtol=0, atol=1e-6)


def test_diagonal_normal_is_left_to_torch():
    """The registered KL does not catch q that is an Independent."""
    q = DiagonalNormal(torch.zeros(1, 2), torch.full((1, 2), 0.5))
    p = normal(torch.zeros(2), torch.ones(2))
    assert kl_divergence(q, p).item() == pytest.approx(2 * (math.log(2) + 0.125 - 0.5), rel=1e-6)


def test_samples_are_computed_in_float32_under_autocast():
    module, raw = FullCovariance(6), torch.randn(16, 27)
    torch.manual_seed(1)
    exact = module(raw).rsample()
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        z = module(raw).rsample()
    assert z.dtype == torch.float32
    assert torch.allclose(z, exact, rtol=1e-6, atol=1e-6)
