"""The two terms of the ELBO against formulas written by hand, and one model with known evidence."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from vaelab.elbo import elbo_terms
from vaelab.likelihoods import Gaussian as GaussianLikelihood
from vaelab.models import VAE
from vaelab.posteriors import Gaussian
from vaelab.priors import StandardNormal

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def by_hand(model, x, noise):
    """(-log p(x|z), KL) of each image, with nothing of vaelab except the two networks."""
    mu, log_variance = model.encoder(x).chunk(2, -1)
    z = mu + torch.exp(log_variance / 2) * noise
    p = torch.sigmoid(model.decoder(z))
    log_p = (x * p.log() + (1 - x) * (1 - p).log()).flatten(1).sum(1)
    kl = 0.5 * (mu**2 + log_variance.exp() - 1 - log_variance).sum(1)
    return -log_p, kl


def test_terms_equal_the_formula_given_the_same_noise(tiny_vae, x):
    model = tiny_vae()
    torch.manual_seed(1)
    terms = elbo_terms(model, x)
    torch.manual_seed(1)
    reconstruction, kl = by_hand(model, x, torch.randn(6, 3, dtype=F64))
    assert torch.allclose(terms.reconstruction, reconstruction, rtol=0, atol=1e-10)
    assert torch.allclose(terms.kl, kl, rtol=0, atol=1e-10)
    assert terms.z.shape == (6, 3)


def test_many_samples_average_the_single_sample_terms_of_the_same_noise(tiny_vae, x, fix_noise):
    model, noise = tiny_vae(), torch.randn(5, 6, 3, dtype=F64)
    fix_noise(noise)
    terms = elbo_terms(model, x, num_samples=5)
    singles = []
    for one in noise:
        fix_noise(one)
        singles.append(elbo_terms(model, x).reconstruction)
    assert terms.z.shape == (5, 6, 3)
    assert torch.allclose(terms.reconstruction, torch.stack(singles).mean(0), rtol=0, atol=1e-10)
    assert torch.allclose(terms.kl, elbo_terms(model, x).kl, rtol=0, atol=1e-12)


def test_terms_of_an_image_do_not_depend_on_its_batch(tiny_vae, x, fix_noise):
    model, noise = tiny_vae(), torch.randn(6, 3, dtype=F64)
    fix_noise(noise)
    together = elbo_terms(model, x)
    fix_noise(noise[2:3])
    alone = elbo_terms(model, x[2:3])
    assert torch.allclose(together.reconstruction[2:3], alone.reconstruction, atol=1e-12)
    assert torch.allclose(together.kl[2:3], alone.kl, atol=1e-12)


class LinearGaussian(nn.Module):
    """p(z) = N(0, I), p(x|z) = N(Wz + b, sigma^2 I) with orthogonal columns of W.

    Then q(z|x) = N(V W'(x - b) / sigma^2, V), V = diag(1 / (1 + |w_j|^2 / sigma^2)) is exact, and
    p(x) = N(b, W W' + sigma^2 I). `shift` moves the posterior's mean away from it.
    """

    sigma, shape = 0.5, (1, 3, 2)

    def __init__(self, shift=0.0):
        super().__init__()
        torch.manual_seed(2)
        columns = torch.linalg.qr(torch.randn(6, 2, dtype=F64)).Q
        self.w, self.b = columns * torch.tensor([1.5, 0.3], dtype=F64), torch.randn(6, dtype=F64)
        self.variance = 1 / (1 + self.w.square().sum(0) / self.sigma**2)
        self.shift = shift

    def encode(self, x):
        mu = self.variance * ((x.flatten(1) - self.b) @ self.w) / self.sigma**2 + self.shift
        return torch.cat([mu, self.variance.log().expand_as(mu)], -1)

    def vae(self):
        encoder, decoder = nn.Module(), nn.Module()
        encoder.forward = self.encode
        decoder.forward = lambda z: (z @ self.w.T + self.b).unflatten(-1, self.shape)
        likelihood = GaussianLikelihood(self.sigma)
        parts = lambda *_: encoder, lambda *_: decoder
        return VAE(self.shape, 2, *parts, Gaussian, StandardNormal, likelihood).double()

    def log_evidence(self, x):
        covariance = self.w @ self.w.T + self.sigma**2 * torch.eye(6, dtype=F64)
        return MultivariateNormal(self.b, covariance).log_prob(x.flatten(1))


@pytest.fixture
def cubature(fix_noise):
    """Noise of 2L points with mean 0 and covariance I: quadratic functions of z average exactly."""
    corners = math.sqrt(2) * torch.eye(2, dtype=F64)
    fix_noise(torch.cat([corners, -corners])[:, None].expand(4, 7, 2))


@pytest.mark.usefixtures("cubature")
def test_elbo_at_the_exact_posterior_is_the_log_evidence():
    linear, x = LinearGaussian(), 2 * torch.randn(7, 1, 3, 2, dtype=F64)
    terms = elbo_terms(linear.vae(), x, num_samples=4)
    elbo = -(terms.reconstruction + terms.kl)
    assert torch.allclose(elbo, linear.log_evidence(x), rtol=0, atol=1e-10)


@pytest.mark.usefixtures("cubature")
def test_elbo_at_another_posterior_is_lower_by_the_divergence_between_them():
    shift = torch.tensor([0.2, -0.7], dtype=F64)
    linear, x = LinearGaussian(shift), 2 * torch.randn(7, 1, 3, 2, dtype=F64)
    terms = elbo_terms(linear.vae(), x, num_samples=4)
    elbo = -(terms.reconstruction + terms.kl)
    gap = 0.5 * (shift**2 / linear.variance).sum()
    assert torch.allclose(linear.log_evidence(x) - elbo, gap.expand(7), rtol=0, atol=1e-10)
