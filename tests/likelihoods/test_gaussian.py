import math

import pytest
import torch
from torch.distributions import Normal

from vaelab.errors import UserError
from vaelab.likelihoods import Gaussian


def test_equals_torchs_normal():
    raw, x = torch.randn(4, 3, 2, 2), torch.rand(4, 3, 2, 2)
    expected = Normal(raw, 0.1).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(Gaussian(sigma=0.1)(raw).log_prob(x), expected)


def test_unit_sigma_is_half_the_squared_error():
    raw, x = torch.randn(4, 1, 2, 2), torch.rand(4, 1, 2, 2)
    cost = -Gaussian()(raw).log_prob(x) - 2 * math.log(2 * math.pi)
    torch.testing.assert_close(cost, 0.5 * ((x - raw) ** 2).sum((1, 2, 3)))


def test_runs_that_differ_in_sigma_can_be_stacked():
    raw, x = torch.randn(4, 1, 2, 2), torch.rand(4, 1, 2, 2)
    sigmas = torch.tensor([0.1, 1.0])

    def log_prob(sigma):
        p_x = torch.func.functional_call(Gaussian(), {"sigma": sigma}, (raw,))
        return p_x.log_prob(x)

    expected = torch.stack([Gaussian(sigma=sigma.item())(raw).log_prob(x) for sigma in sigmas])
    torch.testing.assert_close(torch.func.vmap(log_prob)(sigmas), expected)


def test_sigma_must_be_positive():
    with pytest.raises(UserError, match=r"^sigma expects a number above 0 .*, got 0; try 1\.0"):
        Gaussian(sigma=0)
