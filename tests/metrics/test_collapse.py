"""The verdict states what the numbers mean."""

import math

import pytest

from vaelab.metrics.collapse import collapse_verdict


def test_collapsed():
    verdict = collapse_verdict([0.0] * 3, [0.001, 0.0, 0.002], 562.4, 562.4)
    assert verdict.startswith("Collapsed posterior: 0 of 3 latents have a KL above 0.1 nats")
    assert "together 0.003" in verdict
    assert "distortion 562.4 nats, with every pixel at its mean 562.4" in verdict
    assert "lower beta, raise it slowly" in verdict


def test_partly_collapsed():
    verdict = collapse_verdict([0.9, 0.0], [2.0, 0.001], 80, 562)
    assert verdict.startswith("Partly collapsed: 1 of 2 latents has a KL above 0.1 nats")
    assert "Normal at a high beta" in verdict


def test_healthy():
    assert collapse_verdict([0.9, 0.8], [2.0, 3.0], 80, 562).startswith("Healthy: 2 of 2")


def test_latents_in_use_that_the_decoder_ignores():
    verdict = collapse_verdict([0.9, 0.8], [0.2, 0.12], 560, 562)
    assert verdict.startswith("Almost collapsed: 2 of 2")


def test_no_pixel_mean_no_comparison():
    verdict = collapse_verdict([0.9, 0.8], [2.0, 3.0], 80, math.nan)
    assert verdict.startswith("Healthy")
    assert "pixel" not in verdict


@pytest.mark.parametrize(
    ("variances", "start"),
    [([0.5, 0.5], "Healthy: 2 of 2"), ([0.5, 0.001], "Partly"), ([0.0, 0.0], "Collapsed")],
)
def test_without_a_kl_of_each_latent_it_goes_by_the_means(variances, start):
    verdict = collapse_verdict(variances)
    assert verdict.startswith(start)
    assert "variance above 0.01" in verdict
