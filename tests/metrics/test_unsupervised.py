"""Dependence between latents in closed form and against slow ones; infinite without interval."""

import numpy as np
import pytest
import scipy.linalg
from sklearn.metrics import mutual_info_score

from vaelab.errors import UserError
from vaelab.metrics import PrecomputedCodes
from vaelab.metrics.unsupervised import (
    Unsupervised,
    gaussian_total_correlation,
    pairwise_mutual_information,
    wasserstein_correlation,
)

ALL = (gaussian_total_correlation, wasserstein_correlation, pairwise_mutual_information)


def correlated(rho, num=500, seed=0, num_latents=2):
    """Codes with the sample covariance (1 on, rho off the diagonal), exactly."""
    codes = np.random.default_rng(seed).standard_normal((num, num_latents))
    codes -= codes.mean(0)
    white = np.linalg.solve(np.linalg.cholesky(np.cov(codes.T)), codes.T)
    covariance = np.full((num_latents, num_latents), rho) + (1 - rho) * np.eye(num_latents)
    return (np.linalg.cholesky(covariance) @ white).T


@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.5, 0.99])
def test_closed_forms_of_two_latents(rho):
    codes = correlated(rho)
    total_correlation = -0.5 * np.log(1 - rho**2)
    assert gaussian_total_correlation(codes).value == pytest.approx(total_correlation, abs=1e-10)
    # tr of the root of (1, rho; rho, 1) is sqrt(1 + rho) + sqrt(1 - rho).
    distance = 4 - 2 * (np.sqrt(1 + rho) + np.sqrt(1 - rho))
    assert wasserstein_correlation(codes).value == pytest.approx(distance, abs=1e-10)
    normalised = wasserstein_correlation(codes, normalised=True)
    assert normalised.value == pytest.approx(distance / 2, abs=1e-10)


def test_agree_with_the_slow_ones(oracle, draw_factors):
    codes = oracle("rotated", draw_factors(1000)) @ np.random.default_rng(0).random((10, 10))
    covariance = np.cov(codes.T)
    marginals = np.diag(np.diag(covariance))
    # The divergence and the distance between two normals, as they are defined.
    inverse = np.linalg.inv(marginals)
    log_ratio = np.linalg.slogdet(marginals)[1] - np.linalg.slogdet(covariance)[1]
    divergence = 0.5 * (np.trace(inverse @ covariance) - 10 + log_ratio)
    root = scipy.linalg.sqrtm(marginals)
    cross = scipy.linalg.sqrtm(root @ covariance @ root).real
    distance = np.trace(covariance) + np.trace(marginals) - 2 * np.trace(cross)
    assert gaussian_total_correlation(codes).value == pytest.approx(divergence, rel=1e-8)
    assert wasserstein_correlation(codes).value == pytest.approx(distance, rel=1e-6)
    binned = [np.digitize(x, np.histogram(x, 20)[1][:-1]) for x in codes.T]
    information = [
        mutual_info_score(binned[i], binned[j]) for i in range(10) for j in range(10) if i != j
    ]
    assert pairwise_mutual_information(codes).value == pytest.approx(
        np.mean(information), abs=1e-10
    )


def test_constant_latents_add_nothing():
    codes = correlated(0.5, num_latents=3)
    more = np.concatenate([codes, np.full((500, 2), 0.1)], axis=1)
    for score in ALL[:2]:
        assert score(more).value == pytest.approx(score(codes).value, abs=1e-12)
    # 6 of the 20 ordered pairs.
    informations = [pairwise_mutual_information(z).value for z in (more, codes)]
    assert informations[0] == pytest.approx(informations[1] * 6 / 20, abs=1e-12)
    for score in ALL:
        nothing = score(np.full((500, 3), 0.1))
        assert nothing.value == 0
    assert wasserstein_correlation(np.full((500, 3), 0.1), normalised=True).value == 0


def test_duplicated_latents():
    codes = correlated(0.0)
    twice = np.concatenate([codes, -3 * codes], axis=1)
    score = gaussian_total_correlation(twice)
    assert score.value == np.inf
    metric = Unsupervised(100, num_repeats=3)(PrecomputedCodes(twice))
    assert metric["gaussian_total_correlation"].interval is None
    assert metric["wasserstein_correlation"].interval is not None
    # (a, -3 a): eigenvalues of D^1/2 S D^1/2 are 1 + 81 and 0, twice; tr S = 2 (1 + 9).
    distance = wasserstein_correlation(twice).value
    assert distance == pytest.approx(2 * (20 - 2 * np.sqrt(82)), abs=1e-6)


def test_order_scale_and_sign_of_latents_do_not_matter():
    codes = correlated(0.6, num_latents=4)
    moved = codes[:, ::-1] * (-7, 1e-3, 2, 1e4) + 5
    for score in (gaussian_total_correlation, pairwise_mutual_information):
        assert score(moved).value == pytest.approx(score(codes).value, abs=1e-8)
    distances = [wasserstein_correlation(z).value for z in (codes, -7 * codes[:, ::-1] + 5)]
    assert distances[1] == pytest.approx(49 * distances[0], rel=1e-8)
    normalised = [wasserstein_correlation(z, normalised=True).value for z in (codes, -7 * codes)]
    assert normalised[0] == pytest.approx(normalised[1], abs=1e-10)


def test_mixing_latents_adds_dependence():
    rng = np.random.default_rng(0)
    apart = rng.standard_normal((2000, 2)) * (3, 1)
    mixed = apart @ np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    for score in ALL:
        assert score(mixed).value > 5 * score(apart).value


def test_noise_has_the_bias_of_the_estimators():
    """Total correlation: L (L - 1) / 2 squared correlations of 1/N, halved: 0.00225."""
    codes = np.random.default_rng(0).standard_normal((10_000, 10))
    scores = [score(codes).value for score in ALL]
    assert scores[0] == pytest.approx(0.00225, abs=0.001)
    assert 0 < scores[2] < 19**2 / 20_000 * 1.05


def drawn(num, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((num, 3)) @ np.array([[1, 0.8, 0], [0, 1, 0.5], [0, 0, 1]])


@pytest.mark.parametrize(
    ("codes", "sentences"),
    [
        (np.full((30, 2), np.nan), ["expects finite numbers, got nan"] * 3),
        (
            np.random.default_rng(0).random((19, 2)),
            ["at least 20 rows for the covariance of 2 latents, got 19"] * 2
            + ["at least 20 rows for as many bins, got 19"],
        ),
    ],
)
def test_sentences(codes, sentences):
    for score, sentence in zip(ALL, sentences, strict=True):
        with pytest.raises(UserError, match=sentence):
            score(codes)


def test_one_latent():
    codes = drawn(100, 0)[:, :1]
    assert gaussian_total_correlation(codes).value == 0
    assert wasserstein_correlation(codes).value == pytest.approx(0, abs=1e-12)
    with pytest.raises(UserError, match="at least 2 latents, got 1"):
        pairwise_mutual_information(codes)


def test_the_configured_metric(encoded_table):
    table = drawn(20_000, 0)
    encoded = encoded_table(table)
    scores = Unsupervised(num_repeats=3)(encoded)
    expected = {
        "gaussian_total_correlation": gaussian_total_correlation(table),
        "wasserstein_correlation": wasserstein_correlation(table),
        "wasserstein_correlation_normalised": wasserstein_correlation(table, normalised=True),
        "mutual_information_score": pairwise_mutual_information(table),
    }
    assert list(scores) == list(expected)
    for name, score in scores.items():
        # Bins are narrower where the extremes of fewer rows are: some tenths of the information.
        assert score.value == pytest.approx(expected[name].value, rel=0.2)
        assert score.details.items() >= {"num_samples": 10_000, "codes": "mean"}.items()
    assert scores["mutual_information_score"].details["num_bins"] == 20
    assert not Unsupervised.needs_factors
    assert Unsupervised.higher_is_better is None
    sampled = Unsupervised(100, codes="sampled")(encoded)
    assert list(sampled) == [f"{name}_sampled_codes" for name in expected]
