"""What holds for every prior: a density, samples of it, shapes, gradients, moments."""

import math

import pytest
import torch

from vaelab.distributions import DiagonalNormal, kl_divergence
from vaelab.priors import Vamp

F64 = torch.float64
REACH, NUM = 10.0, 401
AXIS = torch.linspace(-REACH, REACH, NUM, dtype=F64)
AREA = (AXIS[1] - AXIS[0]) ** 2
FLOWS = ("maf", "nsf", "realnvp")
GRID = torch.cartesian_prod(AXIS, AXIS)


@pytest.fixture
def p_z(prior):
    """The distribution over two latents."""
    module, encode = prior(2)
    with torch.no_grad():
        return module(encode)


@pytest.fixture
def density(p_z):
    with torch.no_grad():
        return p_z.log_prob(GRID).exp() * AREA


def test_density_integrates_to_one(density, name):
    # Smooth densities sum exactly on a grid; networks of relu and splines leave kinks, and these
    # the error of the trapezoid rule.
    assert density.sum() == pytest.approx(1, abs=1e-3 if name in FLOWS else 1e-6)


def test_samples_have_the_moments_of_the_density(p_z, density):
    mean = density @ GRID
    covariance = (density[:, None] * (GRID - mean)).T @ (GRID - mean)
    num = 40_000
    torch.manual_seed(0)
    z = p_z.sample((num,))
    # The error of a mean is sigma / sqrt(num), of a variance about sqrt(kurtosis) times as much.
    scale = covariance.diag().max()
    assert torch.allclose(z.mean(0), mean, rtol=0, atol=float(5 * (scale / num).sqrt()))
    assert torch.allclose(z.T.cov(), covariance, rtol=0, atol=float(10 * scale / num**0.5))


def test_mean_and_stddev_are_those_of_the_density(p_z, density, name):
    mean = density @ GRID
    stddev = (density @ (GRID - mean).square()).sqrt()
    # Of flows they are averages over 2,048 pairs of points.
    tolerance = 5 / 2048**0.5 if name in FLOWS else 1e-6
    assert ((p_z.mean - mean).abs() < tolerance * stddev).all()
    assert torch.allclose(p_z.stddev, stddev, rtol=tolerance)
    assert p_z.mean.shape == p_z.stddev.shape == (2,)


def test_entropy_of_samples_is_that_of_the_density(p_z, density):
    with torch.no_grad():
        log_density = p_z.log_prob(GRID)
        torch.manual_seed(0)
        surprise = -p_z.log_prob(p_z.sample((20_000,)))
    expected = -(density * log_density).sum()
    assert surprise.mean() == pytest.approx(
        expected.item(), abs=float(5 * surprise.std() / 20_000**0.5)
    )


@pytest.mark.parametrize("latent_dim", [1, 3])
def test_shapes_with_sample_dimensions(prior, name, latent_dim):
    if name == "realnvp" and latent_dim == 1:
        pytest.skip("couples two latents at least")
    module, encode = prior(latent_dim)
    p_z = module(encode)
    assert (p_z.batch_shape, p_z.event_shape) == ((), (latent_dim,))
    z = p_z.sample((5, 4))
    assert z.shape == (5, 4, latent_dim)
    assert not z.requires_grad
    each = torch.stack([p_z.log_prob(row) for row in z.clone()])
    assert torch.allclose(p_z.log_prob(z.clone()), each, rtol=0, atol=1e-12)
    assert p_z.log_prob(z).shape == (5, 4)


def test_gradient_reaches_every_parameter(prior):
    module, encode = prior(2)
    if not list(module.parameters()):
        pytest.skip("learns nothing")
    module(encode).log_prob(torch.randn(50, 2, dtype=F64)).sum().backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        if "pixel" not in key:
            assert (parameter.grad != 0).any(), key


def test_gradient_in_z_is_that_of_the_density(p_z):
    z = torch.randn(20, 2, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(p_z.log_prob, (z,), atol=1e-6)


def test_kl_by_samples_is_the_integral(p_z, density):
    q = DiagonalNormal(torch.tensor([0.5, -1.0]).double(), torch.tensor([0.7, 0.4]).double())
    with torch.no_grad():
        log_q = q.log_prob(GRID)
        expected = float((log_q.exp() * AREA * (log_q - p_z.log_prob(GRID))).sum())
        torch.manual_seed(0)
        z = q.sample((40_000,))
        spread = (q.log_prob(z) - p_z.log_prob(z)).std()
    kl = kl_divergence(q, p_z, z).detach()
    assert kl.shape == ()
    assert kl == pytest.approx(expected, abs=max(1e-3, float(5 * spread / math.sqrt(40_000))))


def test_moments_and_samples_leave_no_trace(p_z):
    """The mean is the same each time and takes nothing from torch's generator."""
    before = torch.random.get_rng_state()
    first, again = p_z.mean.clone(), p_z.mean
    assert torch.equal(first, again)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_load_into_a_new_module(prior, name):
    (module, encode), (other, _) = prior(2), prior(2)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(module.state_dict())
    z = torch.randn(5, 2, dtype=F64)
    if not isinstance(module, Vamp):  # whose density is the encoder's as well
        assert torch.equal(other(encode).log_prob(z), module(encode).log_prob(z))
    assert all(
        torch.equal(a, b) for a, b in zip(module.parameters(), other.parameters(), strict=True)
    )
