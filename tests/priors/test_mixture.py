"""The mixture: its formula, its limits, and that training finds the clusters."""

import math

import pytest
import torch
from torch.distributions import Normal

from vaelab.distributions import DiagonalNormal, kl_divergence
from vaelab.errors import UserError
from vaelab.kl_penalties import Constant
from vaelab.likelihoods import Gaussian as GaussianPixels
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.objectives import BetaVAE
from vaelab.posteriors import Gaussian
from vaelab.priors import Mixture, StandardNormal

F64 = torch.float64


def test_density_equals_the_formula():
    prior = Mixture(2, (1, 1, 1), num_components=3).double()
    with torch.no_grad():
        prior.logits.copy_(torch.tensor([0.0, 1.0, -0.5]))
        prior.log_variance.copy_(torch.randn(3, 2))
    z = torch.randn(7, 2, dtype=F64)
    weights, total = prior.logits.exp() / prior.logits.exp().sum(), 0
    for w, mu, log_variance in zip(weights, prior.mu, prior.log_variance, strict=True):
        variance = log_variance.exp()
        squares = ((z - mu) ** 2 / variance).sum(1)
        total = total + w * (-squares / 2).exp() / (2 * math.pi * variance.prod().sqrt())
    assert torch.allclose(prior(None).log_prob(z), total.log(), rtol=0, atol=1e-10)


def test_kl_with_one_standard_component_is_the_closed_form():
    """With one component log q - log p is quadratic: these 2L points average it exactly."""
    prior = Mixture(3, (1, 1, 1), num_components=1).double()
    torch.nn.init.zeros_(prior.mu)
    q = DiagonalNormal(torch.randn(5, 3, dtype=F64), torch.rand(5, 3, dtype=F64) + 0.1)
    corners = math.sqrt(3) * torch.eye(3, dtype=F64)
    z = q.mean + q.stddev * torch.cat([corners, -corners])[:, None]
    standard = StandardNormal(3, (1, 1, 1)).double()(None)
    assert torch.allclose(
        kl_divergence(q, prior(None), z), kl_divergence(q, standard), rtol=0, atol=1e-10
    )


def test_kl_of_many_samples_averages_over_them_image_by_image():
    prior = Mixture(2, (1, 1, 1)).double()(None)
    q = DiagonalNormal(torch.randn(4, 2, dtype=F64), torch.ones(4, 2, dtype=F64))
    z = q.rsample((6,))
    singles = torch.stack([kl_divergence(q, prior, one) for one in z])
    assert torch.allclose(kl_divergence(q, prior, z), singles.mean(0), rtol=0, atol=1e-12)


def test_means_start_as_draws_of_the_standard_normal():
    prior = Mixture(10, (1, 1, 1), num_components=500)
    assert prior.mu.mean().item() == pytest.approx(0, abs=5 / 5000**0.5)
    assert prior.mu.var().item() == pytest.approx(1, abs=5 * (2 / 5000) ** 0.5)
    assert (prior.logits == 0).all()
    assert (prior.log_variance == 0).all()


@pytest.mark.parametrize("num", [0, -1, 2.5])
def test_number_of_components_is_checked(num):
    with pytest.raises(UserError, match="num_components expects an integer of at least 1"):
        Mixture(2, (1, 1, 1), num_components=num)


def trained_elbo(prior, x):
    """The ELBO after training on x, averaged over the last steps."""
    torch.manual_seed(0)
    model = VAE(
        (1, 1, 2),
        1,
        lambda *shapes: MLPEncoder(*shapes, hidden=(16,), activation="tanh"),
        lambda *shapes: MLPDecoder(*shapes, hidden=()),
        Gaussian,
        prior,
        GaussianPixels(0.1),
    )
    objective, elbos = BetaVAE(1.0, Constant()), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for step in range(300):
        terms = objective(model, x, step)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        elbos.append(terms["elbo"].item())
    return sum(elbos[-50:]) / 50


def test_training_on_two_clusters_gains_what_a_single_normal_loses():
    """Two tight clusters along a line, p(x|z) linear: a normal p(z) must cover the gap."""
    torch.manual_seed(0)
    side = torch.tensor([-1.0, 1.0]).repeat(100)[:, None]
    x = (side * torch.tensor([1.0, 0.5]) + 0.1 * torch.randn(200, 2)).view(200, 1, 1, 2)
    mixture = trained_elbo(lambda *sizes: Mixture(*sizes, num_components=2), x)
    standard = trained_elbo(StandardNormal, x)
    # The best normal and the best mixture of two: log p(x) of the linear Gaussian model of each.
    spread = side.squeeze() * 1.25**0.5
    along = spread + 0.1 * torch.randn(200)
    wide = Normal(0.0, float((1.25 + 0.01) ** 0.5)).log_prob(along).mean()
    two = Normal(spread, 0.1).log_prob(along).mean() - math.log(2)
    assert mixture - standard > 0.5 * float(two - wide) > 0.3
