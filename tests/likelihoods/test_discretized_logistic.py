import numpy as np
import torch

from vaelab.likelihoods import DiscretizedLogistic


def test_log_prob_equals_a_difference_of_sigmoids():
    # Within ten scales of the mean, beyond which the difference of two sigmoids cancels to zero.
    raw = torch.rand(2, 2 * 3, 4, 4, dtype=torch.float64)
    raw[:, 3:] -= 2
    x = torch.randint(1, 255, (2, 3, 4, 4)).double() / 255
    mean, scale = raw[:, :3].numpy(), np.exp(-7.7 + np.log1p(np.exp(raw[:, 3:].numpy() + 7.7)))

    def cdf(value):
        return 1 / (1 + np.exp(-(value - mean) / scale))

    expected = np.log(cdf(x.numpy() + 0.5 / 255) - cdf(x.numpy() - 0.5 / 255)).sum((1, 2, 3))
    np.testing.assert_allclose(DiscretizedLogistic()(raw).log_prob(x).numpy(), expected)


def test_a_mean_on_the_level_and_a_small_scale_are_nearly_certain():
    x = torch.arange(256).view(1, 1, 16, 16) / 255
    raw = torch.cat([x, torch.full_like(x, -50.0)], dim=1)
    p_x = DiscretizedLogistic(min_log_scale=-20.0)(raw)
    assert p_x.log_prob(x).item() > -1e-3
    torch.testing.assert_close(p_x.sample()[0], x[0])
    torch.testing.assert_close(p_x.mean, x)
