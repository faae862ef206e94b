"""Settings of figures, and the names and activity of latents."""

import pytest
import torch
from hydra.utils import instantiate
from torch.distributions import Independent, MultivariateNormal, Normal

from vaelab.errors import UserError
from vaelab.visualize.context import FigureSettings, label_latents, latent_activity


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_images": 0}, "^num_images expects an integer of at least 1, got 0; try 10"),
        ({"num_values": 1}, "^num_values expects an integer of at least 2, got 1"),
        ({"max_latents": 0}, "^max_latents expects an integer of at least 1, got 0"),
        ({"traversal_range": 0.0}, r"^traversal_range expects a number above 0 \(standard dev"),
        ({"formats": ()}, r"^formats expects a list of png, svg or both, got \(\)"),
        ({"formats": "png"}, r"^formats expects a list .* got 'png'; try \[png\]"),
        ({"formats": ("png", "pdf")}, "^formats expects one of png, svg, got 'pdf'"),
    ],
)
def test_settings_that_draw_nothing_are_rejected(settings, message):
    with pytest.raises(UserError, match=message):
        FigureSettings(**settings)


def test_defaults_of_python_and_yaml_are_equal(compose):
    settings = instantiate(compose().callbacks.figures.settings, _convert_="all")
    assert vars(settings) | {"formats": ("png",)} == vars(FigureSettings())
    assert settings.formats == ["png"]


def test_activity_is_the_kl_per_latent_or_else_the_variance_of_means():
    mean, scale = torch.tensor([[0.0, 2.0], [0.0, -2.0]]), torch.ones(2, 2)
    prior = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    activity, measure = latent_activity(Independent(Normal(mean, scale), 1), prior)
    assert (activity.tolist(), measure) == ([0.0, 2.0], "KL")
    correlated = MultivariateNormal(mean, torch.eye(2).expand(2, 2, 2))
    activity, measure = latent_activity(correlated, prior)
    assert (activity.tolist(), measure) == ([0.0, 4.0], "variance")
    assert label_latents(activity, measure) == ["z0, variance 0.00", "z1, variance 4.00"]
