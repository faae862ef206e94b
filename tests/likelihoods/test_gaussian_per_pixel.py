import torch
from torch.distributions import Normal
from torch.nn.functional import softplus

from vaelab.likelihoods import GaussianPerPixel


def test_equals_torchs_normal():
    raw, x = torch.randn(4, 6, 2, 2), torch.rand(4, 3, 2, 2)
    sigma = torch.exp(-2 + softplus(raw[:, 3:] + 2))
    expected = Normal(raw[:, :3], sigma).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(GaussianPerPixel(min_log_sigma=-2)(raw).log_prob(x), expected)


def test_sigma_has_a_soft_lower_bound():
    raw = torch.tensor([[0.0], [-100.0]]).view(1, 2, 1, 1)
    p_x = GaussianPerPixel(min_log_sigma=-6.0)(raw)
    torch.testing.assert_close(p_x.stddev.log().flatten(), torch.tensor([-6.0]))
