"""Figures of the inference gap: drawn where it was measured, of the posterior that is there."""

import numpy as np
import pytest
import torch

from vaelab.data.images import Images, Splits, Subset
from vaelab.likelihoods import Gaussian as GaussianPixels
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.visualize import inference
from vaelab.visualize.scores import draw_score_figures

SCORES = {"log_p": -8.0, "approximation_gap": 0.5, "inference_gap": 2.0}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(inference, "NUM_STEPS", 30)


@pytest.fixture
def encoded(tiny_vae):
    def build(latent_dim):
        subset = Subset(Images((torch.rand(5, 16) < 0.5).to(torch.uint8) * 255, (1, 4, 4)))
        return EncodedDataset(tiny_vae(latent_dim).float().eval(), Splits(subset, subset))

    return build


def test_they_are_drawn_where_the_gap_was_measured(encoded):
    three, two = encoded(3), encoded(2)
    assert list(draw_score_figures(three, {"log_p": 1.0}, "step 1")) == []
    names = [name for name, _ in draw_score_figures(three, SCORES, "step 1")]
    assert names == ["inference_gap", "inference_traces"]
    names = [name for name, _ in draw_score_figures(two, SCORES, "step 1")]
    assert names == ["inference_gap", "inference_traces", "posterior_grid"]
    assert all(parameter.grad is None for parameter in two.model.parameters())


def test_the_bar_has_the_parts(encoded, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        "vaelab.figures.plot_inference_gap", lambda parts, caption: seen.update(parts)
    )
    next(iter(draw_score_figures(encoded(3), SCORES, "step 1")))
    assert seen == {"": (-10.0, -8.5, -8.0)}


def test_the_posterior_is_that_of_bayes(linear_gaussian, monkeypatch):
    """Of a linear Gaussian with the exact posterior: its density, and that of q, are the same."""
    model, x, _ = linear_gaussian
    seen = {}

    def plot(xs, ys, density, approximations, caption):
        seen.update(xs=xs, ys=ys, density=density, approximations=approximations)

    monkeypatch.setattr("vaelab.figures.plot_posterior_grid", plot)
    assert isinstance(model.likelihood, GaussianPixels)
    inference.draw_posterior(model, x[:1], "image 0", "step 1")
    assert list(seen["approximations"]) == [
        "the encoder's q(z|x)",
        "best gaussian",
        "best full covariance",
    ]
    exact, ours = seen["density"], seen["approximations"]["the encoder's q(z|x)"]
    assert exact.shape == (inference.NUM_FINE, inference.NUM_FINE)
    np.testing.assert_allclose(exact, ours, rtol=0.01, atol=1e-3 * exact.max())
    mode = np.unravel_index(exact.argmax(), exact.shape)
    at = torch.stack([seen["xs"][mode[1]], seen["ys"][mode[0]]])
    step = max(seen["xs"][1] - seen["xs"][0], seen["ys"][1] - seen["ys"][0])
    assert (at - model.encode(x[:1]).mean[0].detach()).abs().max() < step
