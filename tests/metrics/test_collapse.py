"""The verdict says what the numbers say."""

import math

import pytest

from vaelab.metrics.collapse import collapse_verdict


def test_collapsed():
    words = collapse_verdict([0.0] * 3, [0.001, 0.0, 0.002], 562.4, 562.4)
    assert words.startswith("Collapsed posterior: 0 of 3 latents have a KL above 0.1 nats")
    assert "together 0.003" in words
    assert "distortion 562.4 nats, with every pixel at its mean 562.4" in words
    assert "lower beta, raise it slowly" in words


def test_partly_collapsed():
    words = collapse_verdict([0.9, 0.0], [2.0, 0.001], 80, 562)
    assert words.startswith("Partly collapsed: 1 of 2 latents has a KL above 0.1 nats")
    assert "Normal at a high beta" in words


def test_healthy():
    assert collapse_verdict([0.9, 0.8], [2.0, 3.0], 80, 562).startswith("Healthy: 2 of 2")


def test_latents_in_use_that_the_decoder_ignores():
    words = collapse_verdict([0.9, 0.8], [0.2, 0.12], 560, 562)
    assert words.startswith("Almost collapsed: 2 of 2")


def test_no_pixel_mean_no_comparison():
    words = collapse_verdict([0.9, 0.8], [2.0, 3.0], 80, math.nan)
    assert words.startswith("Healthy")
    assert "pixel" not in words


@pytest.mark.parametrize(
    ("variances", "start"),
    [([0.5, 0.5], "Healthy: 2 of 2"), ([0.5, 0.001], "Partly"), ([0.0, 0.0], "Collapsed")],
)
def test_without_a_kl_of_each_latent_it_goes_by_the_means(variances, start):
    words = collapse_verdict(variances)
    assert words.startswith(start)
    assert "variance above 0.01" in words
