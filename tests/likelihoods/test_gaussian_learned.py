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


def test_starts_at_the_deviation_of_the_images_from_their_mean_image():
    mean_image, deviation = torch.rand(1, 1, 4, 4), 0.1 * torch.randn(1000, 1, 4, 4)
    likelihood = GaussianLearned()
    assert likelihood.state()["sigma"].item() == 1
    likelihood.initialize(mean_image + deviation)
    assert likelihood.state()["sigma"].item() == pytest.approx(0.1, rel=0.02)


def test_a_given_initial_sigma_is_kept():
    likelihood = GaussianLearned(initial_sigma=0.3)
    likelihood.initialize(torch.rand(10, 1, 4, 4))
    assert likelihood.state()["sigma"].item() == pytest.approx(0.3)


def test_images_that_are_all_alike_leave_a_positive_sigma():
    likelihood = GaussianLearned()
    likelihood.initialize(torch.full((10, 1, 4, 4), 0.5))
    assert likelihood.state()["sigma"].item() == pytest.approx(1 / 255)


def test_log_sigma_follows_a_small_error_within_a_short_run():
    """To a fifth in 400 steps of Adam and a cosine; the networks' rate moves it by a fifth."""

    def final_sigma(likelihood, groups):
        x = 0.05 * torch.randn(8, 1, 8, 8)
        optimizer = torch.optim.Adam(groups, lr=1e-3)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
        for _ in range(400):
            optimizer.zero_grad()
            (-likelihood(torch.zeros_like(x)).log_prob(x).mean()).backward()
            optimizer.step()
            scheduler.step()
        return likelihood.state()["sigma"].item() / x.square().mean().sqrt().item()

    likelihood = GaussianLearned(initial_sigma=0.25)
    assert final_sigma(likelihood, likelihood.parameter_groups()) == pytest.approx(1, rel=0.1)
    slow = GaussianLearned(initial_sigma=0.25)
    assert final_sigma(slow, [{"params": list(slow.parameters())}]) > 3


def test_the_rate_must_be_positive():
    with pytest.raises(UserError, match=r"^lr expects a number above 0, got 0"):
        GaussianLearned(lr=0)
