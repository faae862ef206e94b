"""Densities of q(z) = 1/N sum_n q(z|x_n) against sums written out."""

import numpy as np
import pytest

from vaelab.errors import UserError
from vaelab.metrics.aggregate_posterior import (
    SPACING,
    coarsen,
    log_joint,
    log_marginal,
    require_normals,
    sample_aggregate,
)


@pytest.fixture
def normals():
    """Mean and std (N, L), more than one chunk of each, with scales from 0.05 to 1."""
    rng = np.random.default_rng(0)
    mean = rng.normal([0, 5, -5], 1, (5000, 3))
    std = np.exp(rng.normal([-2, -1, -0.01], [0.3, 0.3, 0.001], (5000, 3)))
    return mean, std


def density(z, mean, std):
    """(M,), (N,) -> (M, N), one normal a column."""
    return np.exp(-0.5 * ((z[:, None] - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))


def test_joint_equals_the_sum(normals):
    mean, std = normals
    z = sample_aggregate(mean, std, 300, np.random.default_rng(1))[1]
    columns = [density(z[:, j], mean[:, j], std[:, j]) for j in range(3)]
    expected = np.log((columns[0] * columns[1] * columns[2]).mean(1))
    np.testing.assert_allclose(log_joint(z, mean, std), expected, rtol=1e-9)


@pytest.mark.parametrize("latent", [0, 1, 2])
def test_marginal_equals_the_sum(normals, latent):
    mean, std = (array[:, latent] for array in normals)
    z = sample_aggregate(*normals, 300, np.random.default_rng(1))[1][:, latent]
    expected = np.log(density(z, mean, std).mean(1))
    np.testing.assert_allclose(log_marginal(z, mean, std), expected, atol=1e-5)


def test_joint_of_narrow_posteriors_far_from_the_origin():
    """Squares expanded carelessly lose all digits here."""
    rng = np.random.default_rng(0)
    mean, std = 100 + rng.standard_normal((50, 2)), np.full((50, 2), 1e-4)
    z = mean + std
    expected = -np.log(50) + 2 * (-0.5 - np.log(1e-4) - 0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(log_joint(z, mean, std), expected, atol=1e-6)


@pytest.mark.parametrize("latent", [0, 1, 2])
def test_coarsening_keeps_the_density_within_its_bound(normals, latent):
    mean, std = (np.tile(array[:, latent], 12) for array in normals)
    rng = np.random.default_rng(2)
    mean = mean + 0.01 * rng.standard_normal(len(mean))
    nodes, scales, weight = coarsen(mean, std)
    assert len(nodes) < 0.7 * len(mean)
    assert weight.sum() == pytest.approx(1, abs=1e-12)
    assert weight @ nodes == pytest.approx(mean.mean(), abs=1e-12)
    z = np.linspace(mean.min() - 1, mean.max() + 1, 100)
    change = np.abs(density(z, nodes, scales) @ weight - density(z, mean, std).mean(1))
    height = (1 / (std * np.sqrt(2 * np.pi))).mean()
    assert change.max() < 2.2 * SPACING**2 / 8 * height
    assert change.max() > 0


def test_few_scattered_normals_are_returned():
    mean, std = np.array([0.0, 1e6, 3.0]), np.array([1.0, 1e-3, 0.1])
    nodes, scales, weight = coarsen(mean, std)
    assert np.array_equal(nodes, mean)
    assert np.array_equal(scales, std)
    assert weight.tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(("num", "num_samples"), [(10, 4), (7, 7), (4, 10), (100_000, 64)])
def test_every_image_is_drawn_equally_often(num, num_samples):
    rng = np.random.default_rng(0)
    mean, std = np.zeros((num, 1)), np.ones((num, 1))
    rows = np.stack([sample_aggregate(mean, std, num_samples, rng)[0] for _ in range(2000)])
    fifth = np.bincount(rows.ravel() * 5 // num, minlength=5) / rows.size
    share = np.bincount(np.arange(num) * 5 // num, minlength=5) / num
    # Stratified draws vary less than independent ones, which have this error.
    assert np.abs(fifth - share).max() < 5 * np.sqrt(0.25 / rows.size)


def test_draws_are_normal_around_the_mean_of_their_image(normals):
    mean, std = normals
    rows, z = sample_aggregate(mean, std, 5000, np.random.default_rng(3))
    noise = (z - mean[rows]) / std[rows]
    assert abs(noise.mean()) < 5 / noise.size**0.5
    assert abs(noise.var() - 1) < 5 * (2 / noise.size) ** 0.5


@pytest.mark.parametrize("std", [np.zeros((4, 2)), np.ones((4, 3)), -np.ones((4, 2))])
def test_what_is_no_std(std):
    with pytest.raises(UserError, match="one shape"):
        require_normals(np.zeros((4, 2)), std)
