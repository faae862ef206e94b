"""What holds for every likelihood: probabilities, moments, shapes, gradients, precision, errors."""

import numpy as np
import pytest
import torch

from vaelab import likelihoods
from vaelab.errors import UserError
from vaelab.likelihoods import Likelihood

NAMES = sorted(set(likelihoods.__all__) - {"Likelihood"})
DISCRETE = ["Bernoulli", "Categorical", "DiscretizedLogistic"]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(params=NAMES)
def likelihood(request) -> Likelihood:
    """Each likelihood as in evaluation, where p(x|z) depends on z alone."""
    return getattr(likelihoods, request.param)().double().eval()


def raw_for(likelihood, *shape, dtype=torch.float64):
    *batch, channels, height, width = shape
    channels *= likelihood.channels_per_pixel
    return torch.randn(*batch, channels, height, width, dtype=dtype)


def quadrature(likelihood):
    """Values x of one pixel and their weights, such that sum weights p(x) is the integral."""
    if isinstance(likelihood, likelihoods.Bernoulli) or likelihood.num_levels:
        num_levels = likelihood.num_levels or 2
        return torch.arange(num_levels).double() / (num_levels - 1), torch.ones(num_levels)
    low, high = (max(-15.0, likelihood.support[0]), min(15.0, likelihood.support[1]))
    nodes, weights = np.polynomial.legendre.leggauss(250)
    return (
        torch.tensor(low + (high - low) * (nodes + 1) / 2),
        torch.tensor((high - low) / 2 * weights),
    )


def test_every_likelihood_in_the_package_is_tested():
    assert {c.__name__ for c in Likelihood.__subclasses__()} == set(NAMES)


def test_probabilities_of_all_images_of_two_pixels_sum_to_one(likelihood):
    values, weights = quadrature(likelihood)
    images = torch.cartesian_prod(values, values).view(-1, 1, 1, 2)
    weights = torch.cartesian_prod(weights, weights).prod(-1)
    p_x = likelihood(0.5 * raw_for(likelihood, 1, 1, 1, 2))
    assert (p_x.log_prob(images).exp() * weights).sum().item() == pytest.approx(1, abs=1e-6)


def test_mean_and_samples_have_the_moments_of_the_probabilities(likelihood):
    values, weights = quadrature(likelihood)
    p_x = likelihood(raw_for(likelihood, 1, 1, 1, 1))
    probabilities = p_x.log_prob(values.view(-1, 1, 1, 1)).exp() * weights
    first, second = ((probabilities * values**power).sum().item() for power in (1, 2))
    assert p_x.mean.item() == pytest.approx(first, abs=1e-6)
    x = p_x.sample((40000,))
    assert x.shape == (40000, 1, 1, 1, 1)
    assert x.dtype == torch.float64
    for power, expected in [(1, first), (2, second)]:
        error = (x**power).std().item() / 200
        assert (x**power).mean().item() == pytest.approx(expected, abs=5 * error + 1e-6)


@pytest.mark.parametrize("likelihood", DISCRETE, indirect=True)
def test_sample_frequencies_are_the_probabilities(likelihood):
    values, _ = quadrature(likelihood)
    p_x = likelihood(raw_for(likelihood, 1, 1, 1, 1))
    expected = p_x.log_prob(values.view(-1, 1, 1, 1)).exp()
    level = (p_x.sample((40000,)).flatten() * (len(values) - 1)).round().long()
    frequency = torch.bincount(level, minlength=len(values)) / 40000
    error = (expected * (1 - expected) / 40000).sqrt()
    assert ((frequency - expected).abs() < 5 * error + 1e-4).all()


@pytest.mark.parametrize("sample_shape", [(), (4,), (2, 3)])
def test_shapes_with_leading_sample_dimensions(likelihood, sample_shape):
    raw = raw_for(likelihood, *sample_shape, 5, 3, 4, 2)
    p_x = likelihood(raw)
    x = torch.randint(0, 2, (5, 3, 4, 2)).double()
    assert p_x.batch_shape == (*sample_shape, 5)
    assert p_x.event_shape == (3, 4, 2)
    assert p_x.mean.shape == p_x.sample().shape == (*sample_shape, 5, 3, 4, 2)
    log_prob = p_x.log_prob(x)
    assert log_prob.shape == (*sample_shape, 5)
    first = (0,) * len(sample_shape)
    torch.testing.assert_close(likelihood(raw[first]).log_prob(x), log_prob[first])


def test_log_prob_is_the_sum_over_pixels(likelihood):
    raw, x = raw_for(likelihood, 2, 3, 2, 2), torch.randint(0, 2, (2, 3, 2, 2)).double()
    total = torch.zeros(2, dtype=torch.float64)
    for channel, row, column in np.ndindex(3, 2, 2):
        one = raw[:, channel::3, row : row + 1, column : column + 1]
        pixel = x[:, channel : channel + 1, row : row + 1, column : column + 1]
        total += likelihood(one).log_prob(pixel)
    torch.testing.assert_close(likelihood(raw).log_prob(x), total)


def test_gradients_are_those_of_finite_differences(likelihood):
    raw, x = raw_for(likelihood, 1, 1, 1, 2).requires_grad_(), torch.tensor([[[[0.0, 1.0]]]])
    assert torch.autograd.gradcheck(lambda raw: likelihood(raw).log_prob(x.double()), raw)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [1.0, 50.0, 1e3])
def test_gradients_in_float32_are_finite_and_reach_everything(likelihood, size, training):
    likelihood.float().train(training)
    raw = size * raw_for(likelihood, 4, 2, 3, 3, dtype=torch.float32).sign()
    raw.requires_grad_()
    x = torch.randint(0, 2, (4, 2, 3, 3)).float()
    log_prob = likelihood(raw).log_prob(x)
    log_prob.mean().backward()
    assert log_prob.isfinite().all()
    for value in (raw, *likelihood.parameters()):
        assert value.grad.isfinite().all()
        assert size > 1 or value.grad.abs().sum() > 0


def test_zero_raw_has_a_gradient(likelihood):
    """A last layer that starts at zero must be able to learn."""
    raw = torch.zeros_like(raw_for(likelihood, 1, 1, 1, 1)).requires_grad_()
    likelihood(raw).log_prob(torch.ones(1, 1, 1, 1).double()).sum().backward()
    assert raw.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_computes_in_float32_or_better(likelihood, dtype):
    likelihood.float()
    raw = raw_for(likelihood, 2, 1, 8, 8).to(dtype)
    x = torch.randint(0, 2, (2, 1, 8, 8)).to(dtype)
    log_prob = likelihood(raw).log_prob(x)
    assert log_prob.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    exact = likelihood(raw.double()).log_prob(x.double())
    torch.testing.assert_close(log_prob.double(), exact, rtol=1e-5, atol=0)


def test_channels_last_and_compiled_give_the_same(likelihood):
    likelihood.float()
    raw = raw_for(likelihood, 2, 3, 4, 4, dtype=torch.float32)
    x = torch.randint(0, 2, (2, 3, 4, 4)).float()
    expected = likelihood(raw).log_prob(x)
    layout = torch.channels_last
    last = likelihood(raw.to(memory_format=layout)).log_prob(x.to(memory_format=layout))
    torch.testing.assert_close(last, expected)
    compiled = torch.compile(
        lambda raw, x: likelihood(raw).log_prob(x), backend="eager", fullgraph=True
    )
    torch.testing.assert_close(compiled(raw, x), expected)


def test_support(likelihood):
    likelihood.check_support(torch.tensor([0.0, 1.0]).view(1, 2, 1, 1))
    name = type(likelihood).__name__
    with pytest.raises(UserError, match=rf"^{name} expects .*, got a m\w+ of nan; .*\.$"):
        likelihood.check_support(torch.tensor([0.0, float("nan")]))
    if likelihood.support == (0, 1):
        with pytest.raises(UserError) as error:
            likelihood.check_support(torch.tensor([0.0, 255.0]))
        assert str(error.value) == (
            f"{name} expects images in [0, 1], got a maximum of 255.0; scale the data or use the "
            "likelihood Gaussian."
        )
        with pytest.raises(UserError, match=r"a minimum of -1\.0"):
            likelihood.check_support(torch.tensor([-1.0, 1.0]))
    else:
        likelihood.check_support(torch.tensor([-3.0, 255.0]))


@pytest.mark.parametrize("name", ["Categorical", "DiscretizedLogistic"])
def test_levels(name):
    likelihood = getattr(likelihoods, name)()
    likelihood.check_support(torch.arange(256) / 255)
    with pytest.raises(UserError) as error:
        likelihood.check_support(torch.tensor([0.0, 100.3 / 255]))
    assert str(error.value) == (
        f"{name} expects pixels k/255, got 0.393333; quantise the data to 256 levels or use the "
        "likelihood Gaussian."
    )
    with pytest.raises(UserError, match=r"^num_levels expects an integer of at least 2, got 1; "):
        getattr(likelihoods, name)(num_levels=1)
