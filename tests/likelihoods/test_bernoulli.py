import numpy as np
import torch

from vaelab.likelihoods import Bernoulli


def test_log_prob_is_minus_the_cross_entropy_for_grey_targets_too():
    raw = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    x = torch.rand(4, 3, 2, 2, dtype=torch.float64)
    lam = 1 / (1 + np.exp(-raw.numpy()))
    expected = (x.numpy() * np.log(lam) + (1 - x.numpy()) * np.log(1 - lam)).sum((1, 2, 3))
    np.testing.assert_allclose(Bernoulli()(raw).log_prob(x).numpy(), expected)


def test_certain_pixels_have_log_probability_zero():
    x = torch.tensor([[[[0.0, 1.0]]]])
    raw = torch.tensor([[[[-1e3, 1e3]]]])
    assert Bernoulli()(raw).log_prob(x).item() == 0
    assert Bernoulli()(-raw).log_prob(x).item() == -2e3
