"""UDR of hand-made models, against a slow one."""

from math import comb
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import Lasso

from vaelab.distributions import DiagonalNormal
from vaelab.errors import UserError
from vaelab.metrics.udr import UDR, median_interval, udr

METHODS = ("lasso", "spearman")


def factors(num=1000, num_latents=4):
    return np.random.default_rng(0).standard_normal((num, num_latents))


def rotated(codes, seed):
    rng = np.random.default_rng(seed)
    return codes @ np.linalg.qr(rng.standard_normal((codes.shape[1],) * 2))[0]


def slow(codes, kl_latent, method):
    """Pair by pair, with silent latents as columns of zeros, cut out of R afterwards."""
    pairs = zip(codes, kl_latent, strict=True)
    tables = [(z - z.mean(0)) / z.std(0) * (kl > 0.01) for z, kl in pairs]
    scores = []
    for i, target in enumerate(tables):
        agreements = []
        for j, partner in enumerate(tables):
            if i == j:
                continue
            relevance = np.zeros((partner.shape[1], target.shape[1]))
            for a, b in np.argwhere(np.outer(kl_latent[j] > 0.01, kl_latent[i] > 0.01)):
                if method == "spearman":
                    relevance[a, b] = abs(spearmanr(partner[:, a], target[:, b])[0])
                else:
                    relevance[a, b] = abs(Lasso(0.1).fit(partner, target[:, b]).coef_[a])
            relevance = relevance[kl_latent[j] > 0.01][:, kl_latent[i] > 0.01]
            means = []
            for matrix in (relevance, relevance.T):
                rows = [max(row) ** 2 / sum(row) if sum(row) else 0 for row in matrix]
                means.append(np.mean(rows))
            agreements.append(np.mean(means))
        scores.append(np.median(agreements))
    return scores


@pytest.mark.parametrize("method", METHODS)
def test_agrees_with_the_slow_one(method):
    z = factors(300)
    noisy = z[:, ::-1] + 0.5 * np.random.default_rng(1).standard_normal(z.shape)
    codes = [z, rotated(z, 2) * 3 + 1, noisy, rotated(z, 3) ** 3]
    kl = [np.ones(4), np.array([1, 1, 0.001, 2]), np.ones(4), np.array([0.02, 0.01, 1, 1])]
    values = [score.value for score in udr(codes, kl, method=method)]
    np.testing.assert_allclose(values, slow(codes, kl, method), rtol=0, atol=1e-10)


def test_known_agreement():
    """A Lasso of one standardised latent on its own copy has the coefficient 1 - alpha."""
    z = factors(2000)
    z = np.linalg.qr(z - z.mean(0))[0]  # orthogonal, hence each latent predicts itself alone
    models, kl = [z, -5 * z[:, [2, 0, 3, 1]] + 2, z[:, ::-1] * (1, 2, 3, 4)], [np.ones(4)] * 3
    for score in udr(models, kl, method="lasso"):
        assert score.value == pytest.approx(0.9, abs=1e-8)
    for score in udr(models, kl, alpha=0.25):
        assert score.value == pytest.approx(0.75, abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_rotated_models_agree_less(method):
    z = factors()
    same = [z, z[:, ::-1], -z, z * 3]
    kl = [np.ones(4)] * 5
    *alike, odd = udr([*same, rotated(z, 1)], kl, method=method)
    assert all(score.value > 0.75 for score in alike)
    assert odd.value < 0.6
    mixed = [rotated(z, seed) for seed in range(5)]
    assert all(score.value < 0.6 for score in udr(mixed, kl, method=method))


@pytest.mark.parametrize("method", METHODS)
def test_order_scale_and_sign_of_latents_do_not_matter(method):
    z = factors()
    codes = [z, rotated(z, 1), rotated(z, 2)]
    moved = [codes[0][:, ::-1] * (-3, 1e-3, 2, 1e3) + 5, *codes[1:]]
    values = [[s.value for s in udr(c, [np.ones(4)] * 3, method=method)] for c in (codes, moved)]
    assert values[0] == pytest.approx(values[1], abs=1e-5)  # coordinate descent to a tolerance


@pytest.mark.parametrize("method", METHODS)
def test_silent_and_constant_latents_do_not_count(method):
    z = factors(300)
    codes = [z, rotated(z, 1), rotated(z, 2)]
    noise = np.random.default_rng(5).standard_normal((300, 2))
    silent = [np.concatenate([c, noise], 1) for c in codes]
    constant = [np.concatenate([c, np.full((300, 2), 0.1)], 1) for c in codes]
    expected = udr(codes, [np.ones(4)] * 3, method=method)
    assert udr(silent, [np.array([1, 1, 1, 1, 0.01, 0])] * 3, method=method) == expected
    assert udr(constant, [np.ones(6)] * 3, method=method) == expected


@pytest.mark.parametrize("method", METHODS)
def test_models_without_informative_latents_score_nothing(method):
    z = factors(300)
    scores = udr([z, z, z], [np.zeros(4), np.ones(4), np.ones(4)], method=method)
    assert scores[0].value == 0
    assert [s.value for s in udr([z, z], [np.zeros(4)] * 2, method=method)] == [0, 0]


@pytest.mark.parametrize("method", METHODS)
def test_noise_does_not_agree(method):
    codes = [np.random.default_rng(seed).standard_normal((1000, 4)) for seed in range(3)]
    assert all(score.value < 0.05 for score in udr(codes, [np.ones(4)] * 3, method=method))


def test_interval_is_over_partners():
    z = factors(300)
    pair = udr([z, rotated(z, 1)], [np.ones(4)] * 2)
    assert [score.interval for score in pair] == [None, None]
    noises = np.random.default_rng(0).random(9)
    models = [
        z + a * np.random.default_rng(i).standard_normal(z.shape) for i, a in enumerate(noises)
    ]
    scores = udr([z, *models], [np.ones(4)] * 10, method="spearman")
    agreements = [udr([z, m], [np.ones(4)] * 2, method="spearman")[0].value for m in models]
    low, high = scores[0].interval
    assert scores[0].value == pytest.approx(np.median(agreements), abs=1e-12)
    assert (low, high) == pytest.approx((sorted(agreements)[1], sorted(agreements)[-2]), abs=1e-12)
    assert "9 partner models" in scores[0].details["interval"]


@pytest.mark.parametrize(("num", "k"), [(5, 0), (6, 1), (8, 1), (9, 2), (20, 6)])
def test_interval_of_a_median_is_the_shortest_that_covers(num, k):
    """The coverage of [x_(k), x_(n+1-k)] is 1 - 2 P(Binomial(n, 1/2) < k), for any density."""
    interval = median_interval(np.random.default_rng(0).permutation(num))
    assert interval == ((k - 1, num - k) if k else None)
    coverage = [1 - 2 * sum(comb(num, i) for i in range(j)) / 2**num for j in (k, k + 1)]
    assert coverage[0] >= 0.95 > coverage[1]


@pytest.mark.parametrize(
    ("codes", "kl", "options", "sentence"),
    [
        ([np.ones((9, 2))], [np.ones(2)], {}, "at least 2 models .* got 1"),
        ([np.full((9, 2), np.nan)] * 2, [np.ones(2)] * 2, {}, "finite numbers, got nan"),
        ([np.ones((9, 2)), np.ones((8, 2))], [np.ones(2)] * 2, {}, "codes .* of the same images"),
        ([np.ones((9, 2))] * 2, [np.ones(2), np.ones(3)], {}, r"\(L,\) for every model"),
        (
            [np.ones((9, 2))] * 2,
            [np.ones(2)] * 2,
            {"method": "pearson"},
            "one of lasso, spearman, got",
        ),
    ],
)
def test_sentences(codes, kl, options, sentence):
    with pytest.raises(UserError, match=sentence):
        udr(codes, kl, **options)


def encode(means, images=5000, sigma=0.1):
    """A model whose posterior is N(means, sigma^2), under a standard normal prior."""
    means = torch.as_tensor(means.copy())
    prior = DiagonalNormal(torch.zeros(means.shape[1]), torch.ones(means.shape[1]))
    sigmas = torch.full_like(means, sigma)
    sigmas[:, (means == 0).all(0)] = 1
    return SimpleNamespace(
        images=range(images),
        codes=lambda rows, codes, rng: means[rows].numpy() + (codes == "sampled") * rng.random(),
        posterior=lambda rows: DiagonalNormal(means[rows], sigmas[rows]),
        given=lambda rows: SimpleNamespace(prior=lambda: prior),
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_configured_metric(method):
    z = factors(5000)
    z[:, 3] = 0
    encoded_datasets = [encode(z), encode(-z[:, ::-1]), encode(rotated(z[:, :3], 0))]
    scores = UDR(method=method)(encoded_datasets)
    assert [list(score) for score in scores] == [[f"udr_{method}"]] * 3
    values = [score[f"udr_{method}"].value for score in scores]
    assert values[0] == pytest.approx(values[1], abs=0.02)
    assert values[2] < values[0]
    details = scores[0][f"udr_{method}"].details
    assert details.items() >= {"num_samples": 1000, "num_models": 3, "codes": "mean"}.items()
    assert ("scikit_learn" in details) == (method == "lasso")
    assert UDR(method=method)(encoded_datasets) == scores
    sampled = UDR(method=method, codes="sampled")(encoded_datasets)
    assert list(sampled[0]) == [f"udr_{method}_sampled_codes"]


def test_the_configured_metric_rejects():
    z = factors(5000)
    with pytest.raises(UserError, match="at least 2 models"):
        UDR()([encode(z)])
    with pytest.raises(UserError, match="at least 2 models"):
        UDR()([])
    with pytest.raises(UserError, match=r"same images, got data of \[5000, 4000\]"):
        UDR()([encode(z), encode(z, images=4000)])
    whole = encode(z)
    full = torch.distributions.MultivariateNormal(torch.zeros(4), torch.eye(4))
    whole.given = lambda rows: SimpleNamespace(prior=lambda: full)
    with pytest.raises(UserError, match="a KL for each latent"):
        UDR()([whole, whole])
