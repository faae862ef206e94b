import torch
from torch.distributions import Categorical as Twin

from vaelab.likelihoods import Categorical


def test_log_prob_equals_torchs_categorical():
    raw = torch.randn(2, 5 * 3, 4, 4, dtype=torch.float64)
    level = torch.randint(0, 5, (2, 3, 4, 4))
    logits = raw.view(2, 5, 3, 4, 4).movedim(1, -1)  # first all channels of level 0
    expected = Twin(logits=logits).log_prob(level).sum((1, 2, 3))
    p_x = Categorical(num_levels=5)(raw)
    torch.testing.assert_close(p_x.log_prob(level / 4), expected)


def test_a_certain_level_is_drawn():
    raw = torch.full((1, 256, 1, 1), -1e3)
    raw[0, 77] = 1e3
    p_x = Categorical()(raw)
    x = p_x.sample((10,))
    torch.testing.assert_close(x, torch.full_like(x, 77 / 255))
    torch.testing.assert_close(p_x.mean, torch.full((1, 1, 1, 1), 77 / 255))
    assert p_x.log_prob(x).sum().item() == 0
