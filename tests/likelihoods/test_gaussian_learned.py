import pytest
import torch

from vaelab.errors import UserError
from vaelab.likelihoods import Gaussian, GaussianLearned


def test_starts_as_the_gaussian_of_the_initial_sigma():
    raw, x = torch.randn(4, 3, 2, 2), torch.rand(4, 3, 2, 2)
    expected = Gaussian(sigma=0.3)(raw).log_prob(x)
    torch.testing.assert_close(GaussianLearned(initial_sigma=0.3)(raw).log_prob(x), expected)


def test_learns_the_root_mean_squared_error():
    x, likelihood = 0.2 * torch.randn(8, 1, 8, 8), GaussianLearned()
    optimizer = torch.optim.SGD(likelihood.parameters(), lr=0.3)
    for _ in range(100):
        optimizer.zero_grad()
        (-likelihood(torch.zeros_like(x)).log_prob(x).mean() / 64).backward()
        optimizer.step()
    torch.testing.assert_close(likelihood.log_sigma.exp(), x.square().mean().sqrt())


def test_sigma_must_be_positive():
    with pytest.raises(UserError, match=r"^initial_sigma expects a number above 0 .*, got -1"):
        GaussianLearned(initial_sigma=-1)
