"""The ELBO and its parts, against formulas written out and the statistics of training."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from vaelab.data.images import Images, Splits, Subset
from vaelab.elbo import elbo_terms
from vaelab.elbo_statistics import ElboStatistics
from vaelab.errors import UserError
from vaelab.likelihoods import Gaussian
from vaelab.metrics.elbo import Elbo, per_image_terms, pixel_mean_distortion
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.posteriors import Posterior
from vaelab.seeding import random_stream

NAMES = ["elbo", "distortion", "rate", "bits_per_dim", "active_units", "active_units_kl"]
NAMES += ["elbo_at_mean", "mean_sample_gap"]


def encode(model, num=40):
    subset = Subset(Images((torch.rand(num, 16) < 0.4).to(torch.uint8) * 255, (1, 4, 4)))
    return EncodedDataset(model.float().eval(), Splits(subset, subset))


@pytest.fixture
def encoded(tiny_vae):
    model = tiny_vae()
    with torch.no_grad():
        model.encoder.head.weight.mul_(5)
        model.decoder.head.weight.mul_(5)
    return encode(model)


@torch.no_grad()
def test_equals_formulas_written_out(encoded):
    scores = Elbo(num_samples=500)(encoded)
    assert list(scores) == NAMES
    x = encoded.x(np.arange(40)).double()
    mu, log_variance = encoded.model.double().encoder(x).chunk(2, -1)
    kl = 0.5 * (mu**2 + log_variance.exp() - 1 - log_variance)
    z = mu + (log_variance / 2).exp() * torch.randn(4000, 40, 3, dtype=torch.float64)

    def log_p(z):
        p = encoded.model.decoder(z.flatten(0, -2)).sigmoid().view(*z.shape[:-1], *x.shape[1:])
        return (x * p.log() + (1 - x) * (1 - p).log()).sum((-3, -2, -1))

    reconstruction = log_p(z)
    error = 5 * (reconstruction.var(0).mean() / 40 * (1 / 4000 + 1 / 500)).sqrt().item()
    elbo = (reconstruction.mean() - kl.sum(1).mean()).item()
    at_mean = (log_p(mu) - kl.sum(1)).mean().item()
    assert scores["elbo"].value == pytest.approx(elbo, abs=error)
    assert scores["rate"].value == pytest.approx(kl.sum(1).mean().item(), rel=1e-5)
    assert scores["elbo_at_mean"].value == pytest.approx(at_mean, rel=1e-5)
    assert scores["mean_sample_gap"].value == pytest.approx(at_mean - elbo, abs=error)
    assert scores["bits_per_dim"].value == pytest.approx(-elbo / 16 / math.log(2), abs=error)
    assert list(scores["rate"].breakdown.values()) == pytest.approx(kl.mean(0).tolist(), rel=1e-4)
    assert list(scores["rate"].breakdown) == ["z0", "z1", "z2"]


def test_the_parts_add_up(encoded):
    scores = {name: score.value for name, score in Elbo()(encoded).items()}
    assert scores["elbo"] == pytest.approx(-scores["rate"] - scores["distortion"], rel=1e-12)


def test_rows_are_what_the_statistics_of_training_sum(encoded):
    x = encoded.x(np.arange(40))
    statistics = ElboStatistics(3, 16)
    with random_stream("test"):
        statistics.update(elbo_terms(encoded.model, x))
    with random_stream("test"):
        rows = per_image_terms(encoded.model, x, 1)
    torch.testing.assert_close(rows.sum(0)[:-1], statistics.sums, rtol=1e-6, atol=1e-6)


def test_intervals_are_those_of_a_mean(encoded):
    score = Elbo(num_bootstrap=2000)(encoded)["rate"]
    q_z = encoded.posterior(np.arange(40))
    kl = torch.distributions.kl_divergence(q_z, encoded.model.prior())
    width = 2 * 1.96 * float(kl.std(correction=0)) / 40**0.5
    assert score.interval[1] - score.interval[0] == pytest.approx(width, rel=0.1)
    assert Elbo(num_bootstrap=0)(encoded)["rate"].interval is None


def test_a_function_of_the_seed_that_leaves_global_noise_alone(encoded):
    state = torch.get_rng_state()
    one, again, other = (Elbo(seed=s)(encoded)["elbo"] for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert one == again
    assert one.value != other.value


def test_some_images(encoded):
    scores = Elbo(num_images=7)(encoded)
    assert scores["elbo"].details["num_images"] == 7
    assert Elbo(num_images=41)(encoded)["elbo"].details["num_images"] == 40
    with pytest.raises(UserError, match="num_images expects an integer of at least 1, got 0"):
        Elbo(num_images=0)(encoded)


def test_the_verdict_stands_with_the_elbo_alone(encoded, tiny_vae):
    scores = Elbo()(encoded)
    assert [name for name in scores if "verdict" in scores[name].details] == ["elbo"]
    assert scores["elbo"].details["verdict"].startswith("Almost collapsed: 3 of 3")  # not trained
    model = tiny_vae()
    with torch.no_grad():
        for parameter in model.encoder.head.parameters():
            parameter.zero_()
    collapsed = Elbo()(encode(model))
    assert collapsed["elbo"].details["verdict"].startswith("Collapsed posterior")
    assert collapsed["rate"].value == 0
    assert collapsed["active_units"].value == 0


def test_pixel_mean_is_the_entropy_of_bernoulli_pixels_and_of_no_others(encoded, tiny_vae):
    p = encoded.x(np.arange(40)).double().mean(0)
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).sum().item()
    assert f"at its mean {entropy:.4g}" in Elbo()(encoded)["elbo"].details["verdict"]
    gaussian = encode(tiny_vae(likelihood=Gaussian()))
    assert "its mean" not in Elbo()(gaussian)["elbo"].details["verdict"]


def test_the_best_decoder_that_ignores_z(encoded):
    """No constant p has a smaller distortion, in whatever batches the images come."""
    x = encoded.x(np.arange(40)).double()
    best = pixel_mean_distortion(x.split(7))
    assert best == pytest.approx(pixel_mean_distortion([x]), rel=1e-12)
    for shift in (-0.01, 0.0, 0.01):
        p = (x.mean(0) + shift).clamp(1e-9, 1 - 1e-9)
        distortion = -(x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2, 3)).mean().item()
        assert distortion > best if shift else distortion == pytest.approx(best, rel=1e-6)


class FullCovariance(Posterior):
    """A posterior without a KL of each latent."""

    num_params = 6

    def distribution(self, raw):
        mu, log_variance = raw.chunk(2, -1)
        covariance = torch.diag_embed(log_variance.exp()) + 0.1
        return MultivariateNormal(mu, covariance)


def test_a_posterior_without_independent_latents(encoded):
    encoded.model.posterior = FullCovariance()
    scores = Elbo()(encoded)
    assert "active_units_kl" not in scores
    assert scores["rate"].breakdown == {}
    assert "variance above 0.01" in scores["elbo"].details["verdict"]
