import numpy as np
import torch

from vaelab.likelihoods import Bernoulli, ContinuousBernoulli


def test_is_the_bernoulli_cross_entropy_plus_the_log_constant():
    raw = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    x = torch.rand(4, 3, 2, 2, dtype=torch.float64)
    lam = 1 / (1 + np.exp(-raw.numpy()))
    constant = np.log(2 * np.arctanh(1 - 2 * lam) / (1 - 2 * lam)).sum((1, 2, 3))
    expected = Bernoulli()(raw).log_prob(x).numpy() + constant
    np.testing.assert_allclose(ContinuousBernoulli()(raw).log_prob(x).numpy(), expected)
