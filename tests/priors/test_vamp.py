"""The VampPrior: a mixture of the posteriors of its pseudo-inputs."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from vaelab.distributed import split_over_processes
from vaelab.distributions import DiagonalNormal, kl_divergence
from vaelab.errors import UserError
from vaelab.likelihoods import Bernoulli
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.posteriors import IAF, FullCovariance, Gaussian
from vaelab.priors import Vamp

F64 = torch.float64
IMAGE = (1, 4, 4)


def vae(posterior, num_components=5, latent_dim=2):
    return VAE(
        IMAGE,
        latent_dim,
        lambda *shapes: MLPEncoder(*shapes, hidden=(8,), activation="tanh"),
        lambda *shapes: MLPDecoder(*shapes, hidden=(8,)),
        posterior,
        lambda *sizes: Vamp(*sizes, num_components=num_components),
        Bernoulli(),
    ).double()


def test_density_is_the_average_of_the_posteriors_of_the_pseudo_inputs():
    model, z = vae(Gaussian), torch.randn(7, 2, dtype=F64)
    total = 0
    for u in model.latent_prior.pseudo_inputs:
        mu, log_variance = model.encoder(u[None]).chunk(2, -1)
        squares = ((z - mu) ** 2 / log_variance.exp()).sum(1)
        total = total + (-0.5 * (squares + log_variance.sum())).exp() / (2 * math.pi)
    assert torch.allclose(model.prior().log_prob(z), (total / 5).log(), rtol=0, atol=1e-10)


def test_with_one_pseudo_input_the_prior_is_its_posterior():
    model = vae(Gaussian, num_components=1)
    with torch.no_grad():
        q = model.encode(model.latent_prior.pseudo_inputs)
        corners = math.sqrt(2) * torch.eye(2, dtype=F64)
        other = DiagonalNormal(torch.randn(4, 2, dtype=F64), torch.rand(4, 2, dtype=F64) + 0.1)
        z = other.mean + other.stddev * torch.cat([corners, -corners])[:, None]
        assert torch.allclose(model.prior().mean, q.mean[0], rtol=0, atol=1e-12)
        assert torch.allclose(model.prior().stddev, q.stddev[0], rtol=1e-7)
        expected = kl_divergence(other, q.expand((1,)))
        assert torch.allclose(kl_divergence(other, model.prior(), z), expected, atol=1e-10)


def test_full_covariance_posteriors_are_mixed_with_their_covariances():
    model, z = vae(FullCovariance), torch.randn(7, 2, dtype=F64)
    q = model.encode(model.latent_prior.pseudo_inputs)
    covariance = q.scale_tril @ q.scale_tril.mT
    normals = MultivariateNormal(q.loc, covariance)
    expected = normals.log_prob(z[:, None]).logsumexp(1) - math.log(5)
    assert torch.allclose(model.prior().log_prob(z), expected, rtol=0, atol=1e-10)


def test_pseudo_inputs_start_as_in_the_paper_and_stay_images():
    prior = Vamp(2, (1, 20, 20), num_components=50)
    u = prior.pseudo_inputs.detach()
    assert u.shape == (50, 1, 20, 20)
    assert u.mean().item() == pytest.approx(0.05, abs=1e-3)
    assert u.std().item() == pytest.approx(0.01, abs=1e-3)
    with torch.no_grad():
        prior.pixel_logits.copy_(30 * torch.randn_like(u))
    assert prior.pseudo_inputs.min() >= 0
    assert prior.pseudo_inputs.max() <= 1


def test_gradient_reaches_every_pixel_and_the_encoder():
    model = vae(Gaussian)
    model.prior().log_prob(torch.randn(50, 2, dtype=F64)).sum().backward()
    assert (model.latent_prior.pixel_logits.grad != 0).all()
    assert all((p.grad != 0).any() for p in model.encoder.parameters())


def test_samples_do_not_depend_on_the_number_of_processes():
    model = vae(FullCovariance)
    torch.manual_seed(1)
    alone = model.prior().sample((6,))
    for rank in range(2):
        torch.manual_seed(1)
        with split_over_processes(rank, 2):
            assert torch.equal(model.prior().sample((6,)), alone)


def test_posterior_that_is_not_normal_is_rejected_when_the_model_is_built():
    with pytest.raises(UserError, match="Vamp expects a normal posterior, got TransformedNormal"):
        vae(IAF)


@pytest.mark.parametrize("num", [0, 1.5])
def test_number_of_pseudo_inputs_is_checked(num):
    with pytest.raises(UserError, match="num_components expects an integer of at least 1"):
        Vamp(2, IMAGE, num_components=num)


def test_pseudo_inputs_move_towards_the_data():
    """Minimising the KL alone: the prior becomes the aggregate of posteriors it can reach."""
    model = vae(Gaussian, num_components=2, latent_dim=1)
    network = nn.Linear(16, 2, dtype=F64)
    with torch.no_grad():
        network.weight.zero_()
        network.weight[0] = 0.5  # mu = 0.5 * the sum of pixels, sigma = 0.1
        network.bias.copy_(torch.tensor([0.0, 2 * math.log(0.1)]))
    prior = model.latent_prior
    encode = lambda u: model.posterior(network(u.flatten(1)))  # noqa: E731
    z = torch.tensor([[2.0], [6.0]], dtype=F64).repeat(50, 1)
    z = z + 0.1 * torch.randn(100, 1, dtype=F64)
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.05)
    with torch.no_grad():  # one pseudo-input dark and one bright
        prior.pixel_logits[1] += 3
    for _ in range(300):
        optimizer.zero_grad()
        (-prior(encode).log_prob(z).mean()).backward()
        optimizer.step()
    means = prior(encode).component_distribution.mean.flatten().sort().values
    assert torch.allclose(means, torch.tensor([2.0, 6.0], dtype=F64), rtol=0, atol=0.05)
