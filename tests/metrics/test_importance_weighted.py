"""The importance-weighted bound: its definition, its noise, its score."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import UserError
from vaelab.likelihoods import Gaussian as GaussianPixels
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.importance_weighted import (
    ImportanceWeightedBound,
    class_log_likelihoods,
    importance_weighted_bound,
)
from vaelab.metrics.per_image import evaluation_images
from vaelab.models import VAE, Condition, MLPDecoder, MLPEncoder
from vaelab.posteriors import Gaussian
from vaelab.priors import StandardNormal
from vaelab.seeding import random_stream


@pytest.fixture
def model(tiny_vae):
    return tiny_vae().eval()


@pytest.fixture
def x():
    return (torch.rand(6, 1, 4, 4) < 0.5).double()


@pytest.fixture
def conditional_linear_gaussian():
    """(model, x, log p(x|y)): x = W z + V[y] + b + noise, z ~ N(0, I), q(z|x, y) too wide."""
    sigma, f64 = 0.5, torch.float64
    model = VAE(
        (1, 2, 3),
        2,
        lambda *shapes, **dim: MLPEncoder(*shapes, **dim, hidden=()),
        lambda *shapes, **dim: MLPDecoder(*shapes, **dim, hidden=()),
        Gaussian,
        StandardNormal,
        GaussianPixels(sigma),
        condition=Condition([3]),
    ).double()
    w = torch.linalg.qr(torch.randn(6, 2, dtype=f64))[0] * torch.tensor([2.0, 0.7])
    v, b = torch.randn(6, 3, dtype=f64), torch.randn(6, dtype=f64)
    variance = 1 / (1 + (w**2).sum(0) / sigma**2)
    gain = variance[:, None] * w.T / sigma**2
    with torch.no_grad():
        model.decoder.head.weight.copy_(torch.cat([w, v], 1))
        model.decoder.head.bias.copy_(b)
        means = torch.cat([gain, -gain @ v], 1)
        model.encoder.head.weight.copy_(torch.cat([means, torch.zeros(2, 9)]))
        model.encoder.head.bias.copy_(torch.cat([-gain @ b, (1.5 * variance).log()]))
    covariance = w @ w.T + sigma**2 * torch.eye(6, dtype=f64)
    p_x = MultivariateNormal((v.T + b)[:, None], covariance)
    x = MultivariateNormal(b, covariance).sample((5,))
    return model.eval(), x.view(-1, 1, 2, 3), p_x.log_prob(x)


@torch.no_grad()
def test_log_likelihoods_of_all_classes_approach_the_exact_ones(conditional_linear_gaussian):
    model, x, exact = conditional_linear_gaussian
    assert exact.shape == (3, 5)
    bounds = class_log_likelihoods(model, x, 5000)
    assert bounds.dtype == torch.float64
    # q has 1.5 times the variance of p(z|x, y): the deviation of log L_K is 0.5 / sqrt(5000).
    torch.testing.assert_close(bounds, exact, rtol=0, atol=0.05)
    few = torch.stack([class_log_likelihoods(model, x, 1, seed) for seed in range(200)]).mean(0)
    assert (few < exact).all()  # by the KL of a posterior that is too wide
    again = class_log_likelihoods(model, x[:2], 5000)
    torch.testing.assert_close(again, bounds[:, :2], rtol=0, atol=1e-9)


def test_log_likelihoods_of_classes_need_a_conditional_model(model, x):
    with pytest.raises(UserError, match=r"^class_log_likelihoods expects a conditional model"):
        class_log_likelihoods(model, x, 1)


@pytest.fixture
def encoded(tiny_vae):
    bytes_ = (torch.rand(30, 16) < 0.5).to(torch.uint8) * 255
    subset = Subset(Images(bytes_, (1, 4, 4)))
    return EncodedDataset(tiny_vae().float().eval(), Splits(subset, subset))


def slow_bound(model, image, num_samples, number):
    """Equation 8 of Burda et al., one sample at a time, the densities written out."""
    mu, log_variance = model.encoder(image[None])[0].chunk(2)
    with random_stream("metrics", "importance_weighted", 0, number):
        noise = torch.randn(num_samples, 1, 3, dtype=torch.float64)[:, 0]
    weights = []
    for eps in noise:
        z = mu + (log_variance / 2).exp() * eps
        log_q = -0.5 * (eps**2 + log_variance + math.log(2 * math.pi)).sum()
        log_p_z = -0.5 * (z**2 + math.log(2 * math.pi)).sum()
        p = model.decoder(z[None])[0].sigmoid()
        log_p_x = (image * p.log() + (1 - image) * (1 - p).log()).sum()
        weights.append((log_p_z + log_p_x - log_q).exp().item())
    return math.log(np.mean(weights))


@torch.no_grad()
def test_equals_a_slow_implementation(model, x):
    slow = [slow_bound(model, image, 9, i) for i, image in enumerate(x)]
    assert importance_weighted_bound(model, x, 9).tolist() == pytest.approx(slow, rel=1e-9)


@pytest.mark.parametrize("max_decoded", [1, 7, 1000])
def test_chunks_change_nothing(model, x, max_decoded):
    whole = importance_weighted_bound(model, x, 50)
    parts = importance_weighted_bound(model, x, 50, max_decoded=max_decoded)
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=0)


def test_an_image_does_not_depend_on_the_others(model, x):
    whole = importance_weighted_bound(model, x, 20)
    torch.testing.assert_close(importance_weighted_bound(model, x[:2], 20), whole[:2])


def test_a_function_of_the_seed_that_leaves_global_noise_alone(model, x):
    state = torch.get_rng_state()
    one, again = (importance_weighted_bound(model, x, 5, seed=1) for _ in range(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, importance_weighted_bound(model, x, 5, seed=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert not one.requires_grad


def test_score(encoded):
    score = ImportanceWeightedBound(num_samples=20, num_images=10)(encoded)[
        "importance_weighted_bound"
    ]
    assert score.interval is not None
    assert score.interval[0] < score.value < score.interval[1]
    details = score.details
    assert details["bits_per_dim"] == pytest.approx(-score.value / 16 / math.log(2))
    assert 1 <= details["median_effective_sample_size"] <= 20
    assert (details["num_samples"], details["num_images"]) == (20, 10)
    assert details["split"] == "val"


def test_score_equals_the_function_on_all_images(encoded):
    rows = np.arange(30)
    value = float(
        ImportanceWeightedBound(num_samples=100, num_images=None)(encoded)[
            "importance_weighted_bound"
        ]
    )
    bounds = importance_weighted_bound(encoded.model, encoded.x(rows), 100, seed=5)
    # Other noise: the two means differ by their standard errors.
    error = (
        5 * (2 * importance_weighted_bound(encoded.model, encoded.x(rows), 100).var() / 30) ** 0.5
    )
    assert value == pytest.approx(float(bounds.mean()), abs=float(error))


def test_more_images_than_there_are_are_all_of_them(encoded):
    scores = ImportanceWeightedBound(num_samples=2, num_images=31)(encoded)
    assert scores["importance_weighted_bound"].details["num_images"] == 30
    with pytest.raises(UserError, match="num_images expects an integer of at least 1, got 0"):
        ImportanceWeightedBound(num_samples=2, num_images=0)(encoded)


def test_some_images_estimate_the_mean_of_all_better_than_their_own_mean(encoded):
    """Over seeds of the chosen images: unbiased, and a smaller spread than that of their mean."""
    every = ImportanceWeightedBound(num_samples=200, num_images=None)(encoded)[
        "importance_weighted_bound"
    ]
    estimates, plain = [], []
    for seed in range(40):
        metric = ImportanceWeightedBound(num_samples=200, num_images=6, seed=seed)
        estimates.append(float(metric(encoded)["importance_weighted_bound"]))
        rows = evaluation_images(encoded, 6, seed)
        plain.append(float(importance_weighted_bound(encoded.model, encoded.x(rows), 200).mean()))
    assert np.mean(estimates) == pytest.approx(every.value, abs=5 * np.std(estimates) / 40**0.5)
    assert np.std(estimates) < np.std(plain)


def test_interval_of_some_images_has_the_width_of_their_spread(encoded):
    few = {"num_samples": 50, "num_images": 10}
    scores = [ImportanceWeightedBound(**few, seed=seed)(encoded) for seed in range(30)]
    values = [float(score["importance_weighted_bound"]) for score in scores]
    widths = [np.diff(score["importance_weighted_bound"].interval)[0] for score in scores]
    # The ELBO of all 30 images is resampled, too, although these are the same for every seed.
    assert 2 * 1.96 * np.std(values) < 1.5 * np.median(widths)
