"""KL = mutual information + total correlation + dimension-wise KL, against known answers."""

import math

import numpy as np
import pytest
import torch

from vaelab.data.factors import FactorSpace
from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import UserError
from vaelab.metrics.decomposition import Decomposition, elbo_decomposition
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.priors import Prior

NAMES = ("index_code_mutual_information", "total_correlation", "dimension_wise_kl")


def normal(z, mean, std):
    return np.exp(-0.5 * ((z - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))


def integrals(mean, std, num=400):
    """The three terms in two latents, by sums over a grid of z."""
    z = np.linspace(-6, 6, num)
    one, two = (normal(z[:, None], mean[:, j], std[:, j]) for j in range(2))  # (num, N)
    cell = (z[1] - z[0]) ** 2
    q = one @ two.T / len(mean)
    q_one, q_two, p = one.mean(1), two.mean(1), normal(z, 0, 1)
    conditional = -(np.log(std) + 0.5 * np.log(2 * np.pi * np.e)).sum(1).mean()
    joint = (q * np.log(q + 1e-300)).sum() * cell
    marginals = [(m * np.log(m)).sum() * cell**0.5 for m in (q_one, q_two)]
    prior = [(m * np.log(p)).sum() * cell**0.5 for m in (q_one, q_two)]
    return conditional - joint, joint - sum(marginals), sum(marginals) - sum(prior)


def slow(mean, std, num_samples, rng):
    """Independent draws, densities written out, no control variates: (M, 3)."""
    rows = rng.integers(len(mean), size=num_samples)
    z = mean[rows] + std[rows] * rng.standard_normal((num_samples, mean.shape[1]))
    terms = []
    for n, point in zip(rows, z, strict=True):
        each = normal(point, mean, std)  # (N, L)
        joint, marginals = np.log(each.prod(1).mean()), np.log(each.mean(0)).sum()
        prior = np.log(normal(point, 0, 1)).sum()
        terms.append([np.log(each[n].prod()) - joint, joint - marginals, marginals - prior])
    return np.array(terms)


def full_grid(sizes=(4, 5), std=0.3):
    """All pairs of two factors, each coded by one latent, and an uninformative latent."""
    pairs = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), -1).reshape(-1, 2)
    mean = np.column_stack([pairs / (np.array(sizes) - 1) * 3 - 1.5, np.zeros(len(pairs))])
    return mean, np.column_stack([np.full((len(pairs), 2), std), np.ones(len(pairs))])


def values(scores):
    return [scores[name].value for name in NAMES]


@pytest.fixture
def scattered():
    rng = np.random.default_rng(0)
    mean = rng.standard_normal((12, 2)) @ np.array([[1.0, 0.8], [0, 0.5]])
    return mean, np.exp(rng.normal(-1, 0.4, (12, 2)))


def test_equals_integrals_in_two_latents(scattered):
    scores = elbo_decomposition(*scattered, num_samples=20000)
    for name, expected in zip(NAMES, integrals(*scattered), strict=True):
        low, high = scores[name].interval
        assert scores[name].value == pytest.approx(expected, abs=1.25 * (high - low))  # 5 errors
        assert high - low < 0.05


def test_equals_a_slow_implementation():
    rng = np.random.default_rng(1)
    mean, std = rng.standard_normal((60, 4)), np.exp(rng.normal(-1, 0.3, (60, 4)))
    terms = slow(mean, std, 4000, rng)
    errors = terms.std(0) / len(terms) ** 0.5
    scores = elbo_decomposition(mean, std, num_samples=4000)
    assert np.all(np.abs(values(scores) - terms.mean(0)) < 5 * 2**0.5 * errors)


@pytest.mark.parametrize("num_samples", [10, 100])
def test_parts_sum_to_the_closed_form(scattered, num_samples):
    """KL of diagonal normals, Kingma and Welling 2014, appendix B."""
    mean, std = scattered
    kl = 0.5 * (mean**2 + std**2 - 1 - 2 * np.log(std)).sum(1).mean()
    scores = elbo_decomposition(mean, std, num_samples=num_samples)
    assert scores["kl_closed_form"].value == pytest.approx(kl, rel=1e-12)
    assert sum(values(scores)) == pytest.approx(kl, rel=1e-9)


def test_a_full_grid_coded_by_independent_latents_has_no_total_correlation():
    scores = elbo_decomposition(*full_grid(), num_samples=4000)
    information, correlation, _ = values(scores)
    assert correlation == pytest.approx(0, abs=1e-4)  # at any z, so without noise
    assert 0.5 * math.log(20) < information < math.log(20)
    rows = scores["dimension_wise_kl"].breakdown
    assert list(rows) == ["z0", "z1", "z2"]
    assert rows["z2"] == pytest.approx(0, abs=1e-5)
    assert sum(rows.values()) == pytest.approx(scores["dimension_wise_kl"].value)


def test_information_of_codes_that_never_overlap_is_ln_n():
    scores = elbo_decomposition(*full_grid(std=1e-3), num_samples=200)
    score = scores["index_code_mutual_information"]
    assert score.value == pytest.approx(math.log(20), abs=1e-9)
    assert score.interval[1] <= math.log(20)


def test_a_duplicated_latent_is_all_total_correlation():
    """Twice the same narrow code: TC is the information that one of them has of the other."""
    mean, std = np.repeat(np.arange(8.0)[:, None] / 2, 2, 1), np.full((8, 2), 1e-3)
    assert values(elbo_decomposition(mean, std))[1] == pytest.approx(math.log(8), abs=1e-5)


def test_a_collapsed_posterior_has_nothing_of_anything():
    scores = elbo_decomposition(np.zeros((30, 3)), np.ones((30, 3)))
    assert [float(score) for score in scores.values()] == pytest.approx([0] * 4, abs=1e-5)


def test_a_gaussian_aggregate_has_closed_forms():
    """Means drawn from N(0, S), noise s^2 I: q(z) tends to N(0, S + s^2 I)."""
    rng = np.random.default_rng(2)
    num, s = 20000, 0.5
    root = np.array([[1.0, 0.0], [0.6, 0.8]])
    white = rng.standard_normal((num, 2))
    white = (white - white.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(white.T))).T
    mean, std = white @ root.T, np.full((num, 2), s)
    covariance = np.cov(mean.T) + s**2 * np.eye(2)
    log_det, variances = np.linalg.slogdet(covariance)[1], np.diag(covariance)
    expected = (
        0.5 * (log_det - 2 * np.log(s**2)),
        0.5 * (np.log(variances).sum() - log_det),
        0.5 * (variances - 1 - np.log(variances)).sum(),
    )
    scores = elbo_decomposition(mean, std, num_samples=3000)
    # The N means are themselves draws: their density is off by about 1 / sqrt(N kernel volume).
    assert values(scores) == pytest.approx(expected, abs=0.03)


def test_intervals_hold_the_answer_95_times_of_100(scattered):
    expected = integrals(*scattered)
    inside = np.zeros(3)
    for seed in range(100):
        scores = elbo_decomposition(*scattered, num_samples=200, rng=np.random.default_rng(seed))
        for i, name in enumerate(NAMES):
            low, high = scores[name].interval
            inside[i] += low <= expected[i] <= high
    assert np.all(inside >= 86)  # 95 - 4 binomial standard errors


def test_too_few_samples():
    with pytest.raises(UserError, match="num_samples expects an integer of at least 10, got 9"):
        elbo_decomposition(*full_grid(), num_samples=9)


class WidePrior(Prior):
    def __init__(self, latent_dim):
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, encode):
        normal = torch.distributions.Normal(torch.zeros(self.latent_dim), 2.0)
        return torch.distributions.Independent(normal, 1)


@pytest.fixture
def encoded(tiny_vae):
    images = Images((torch.rand(24, 16) * 255).to(torch.uint8), (1, 4, 4))
    subset = Subset(images, torch.arange(5))
    return EncodedDataset(
        tiny_vae().float().eval(),
        Splits(subset, subset, factors=FactorSpace(("a", "b"), (4, 6))),
    )


def test_class_scores_all_images(encoded):
    scores = Decomposition(num_samples=50)(encoded)
    rows = np.arange(24)
    q_z = encoded.posterior(rows)
    kl = torch.distributions.kl_divergence(q_z, encoded.model.prior()).mean()
    assert scores["kl_closed_form"].value == pytest.approx(float(kl), rel=1e-5)
    assert scores["total_correlation"].details["num_images"] == 24
    assert Decomposition(10, 50)(encoded)["total_correlation"].details["num_images"] == 10


def test_class_rejects_another_prior_and_too_few_images(encoded):
    with pytest.raises(UserError, match="num_images expects an integer of at least 2, got 1"):
        Decomposition(1)(encoded)
    assert Decomposition(25)(encoded)["total_correlation"].details["num_images"] == 24
    encoded.model.latent_prior = WidePrior(3)
    with pytest.raises(UserError, match="a standard normal prior, got WidePrior"):
        Decomposition()(encoded)
