"""Modularity and explicitness of hand-made codes, against slow ones."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score

from vaelab.errors import UserError
from vaelab.metrics.explicitness import explicitness
from vaelab.metrics.factor_dataset import split_train_test
from vaelab.metrics.modularity import Modularity, modularity

NAMES = ("shape", "scale", "orientation", "posX", "posY")


def slow_modularity(codes, factors):
    scores = []
    for code in codes.T:
        binned = np.digitize(code, np.histogram(code, 20)[1][:-1])
        squares = sorted(mutual_info_score(factor, binned) ** 2 for factor in factors.T)
        others = sum(squares[:-1]) / (squares[-1] * (len(squares) - 1)) if squares[-1] else 1
        scores.append(1 - others)
    return np.mean(scores)


@pytest.mark.parametrize(
    ("kind", "value", "tolerance"),
    [("linear", 0.83, 0.015), ("rotated", 0.78, 0.015), ("noise", 0.68, 0.04)],
)
def test_oracles(oracle, draw_factors, kind, value, tolerance):
    factors = draw_factors(10_000)
    score = modularity(oracle(kind, factors), factors)
    assert score.value == pytest.approx(value, abs=tolerance)


@pytest.mark.parametrize("kind", ["linear", "rotated", "noise"])
def test_agrees_with_the_slow_one(oracle, draw_factors, kind):
    factors = draw_factors(1000)
    codes = oracle(kind, factors)
    codes[:, 9] = 0.1
    assert modularity(codes, factors).value == pytest.approx(
        slow_modularity(codes, factors), abs=1e-10
    )


def test_latents_of_one_factor_each_are_modular(draw_factors):
    """On the whole grid of two factors, where chance gives no information."""
    grid = np.stack(np.divmod(np.arange(60), 10), 1)
    assert modularity(grid, grid).value == pytest.approx(1, abs=1e-12)
    assert modularity(np.concatenate([grid, grid], 1), grid).value == pytest.approx(1, abs=1e-12)


def test_a_latent_of_two_factors_alike_is_not_modular():
    grid = np.stack(np.divmod(np.arange(100), 10), 1)
    # 10 x + y would be as informative about x as about y, except for the bins; x + y is symmetric.
    assert modularity(grid.sum(1, keepdims=True), grid).value == pytest.approx(0, abs=1e-12)


def test_constant_latents_add_nothing():
    grid = np.stack(np.divmod(np.arange(60), 10), 1).astype(float)
    constant = np.full((60, 2), 0.1)
    assert modularity(np.concatenate([grid, constant], 1), grid).value == pytest.approx(0.5)
    assert modularity(constant, grid).value == 0


def test_order_scale_and_sign_of_latents_do_not_matter(oracle, draw_factors):
    factors = draw_factors(1500)
    codes = oracle("rotated", factors)
    codes += np.random.default_rng(2).normal(0, 0.1, codes.shape)  # away from the edges of bins
    moved = codes[:, ::-1] * np.linspace(-3, 7, 10) + 5
    for score in (modularity, explicitness):
        values = [score(z, factors).value for z in (codes, moved)]
        # liblinear stops at a tolerance, at another point for other codes.
        assert values[0] == pytest.approx(values[1], abs=1e-10 if score is modularity else 1e-3)


def blurred(num, seed):
    rng = np.random.default_rng(seed)
    factors = rng.integers((4, 8), size=(num, 2))
    mixing = np.array([[1, 3, 0], [0, 1, 1]])
    return factors @ mixing + rng.standard_normal((num, 3)), factors


def test_explicitness_is_the_area_of_one_classifier_for_each_value(oracle, draw_factors):
    factors = draw_factors(1500)[:, [0, 1]]
    codes = oracle("rotated", draw_factors(1500))[:, 1:]  # without shape
    train, test = split_train_test(1500, 1000, np.random.default_rng(5))
    z = (codes - codes[train].mean(0)) / codes[train].std(0)
    means = []
    for column in factors.T:
        values = np.unique(column)
        fits = [
            LogisticRegression(solver="liblinear").fit(z[train], column[train] == v) for v in values
        ]
        p = np.stack([fit.predict_proba(z[test])[:, 1] for fit in fits], 1)
        p /= p.sum(1, keepdims=True)
        areas = [roc_auc_score(column[test] == v, p[:, i]) for i, v in enumerate(values)]
        means.append(np.mean(areas))
    score = explicitness(codes, factors, num_train=1000, rng=np.random.default_rng(5))
    assert list(score.breakdown.values()) == pytest.approx(means, abs=1e-10)
    assert score.value == pytest.approx(np.mean(means), abs=1e-10)
    assert means[0] < 0.55 < 0.9 < means[1]


def test_explicitness_of_known_codes(draw_factors):
    factors = draw_factors(6000)
    one_hot = np.eye(6)[factors[:, 1]]
    scale = factors[:, [1]]
    assert explicitness(one_hot, scale).value == 1
    # Chance: the spread of one area of 2000 rows with 333 positives is 0.017, of six means 0.007.
    noise = np.random.default_rng(0).standard_normal((6000, 3))
    assert explicitness(noise, scale).value == pytest.approx(0.5, abs=0.03)
    constant = explicitness(np.full((6000, 2), 0.1), scale)
    assert constant.value == 0.5


@pytest.mark.parametrize("score", [modularity, explicitness])
@pytest.mark.parametrize(
    ("codes", "factors", "sentence"),
    [
        (np.full((30, 2), np.nan), np.arange(60).reshape(30, 2) % 3, "finite numbers, got nan"),
        (np.zeros((30, 2)), np.zeros((30, 2)), "columns that vary, got factor 0"),
    ],
)
def test_sentences(score, codes, factors, sentence):
    with pytest.raises(UserError, match=sentence):
        score(codes, factors)


def test_sentences_of_one():
    codes, factors = blurred(30, 0)
    with pytest.raises(UserError, match="at least 2 factors, got 1"):
        modularity(codes, factors[:, :1])
    with pytest.raises(UserError, match="at least 20 rows for as many bins, got 10"):
        modularity(codes[:10], factors[:10])
    with pytest.raises(UserError, match=r"below 30 \(images\), got 30"):
        explicitness(codes, factors, num_train=30)
    with pytest.raises(UserError, match=r"at least 2 values of each factor .* one of factor 0"):
        explicitness(codes, np.arange(30)[:, None] == 3)


def test_the_configured_metric(oracle, draw_factors, encoded_table):
    factors = draw_factors(20_000)
    encoded = encoded_table(oracle("linear", factors), factors, NAMES)
    scores = Modularity(num_repeats=0)(encoded)
    assert list(scores) == ["modularity", "explicitness"]
    assert scores["modularity"].value == pytest.approx(0.83, abs=0.015)
    assert scores["modularity"].details["num_samples"] == 10_000
    details = scores["explicitness"].details
    assert details.items() >= {"num_train": 10_000, "num_test": 5_000, "codes": "mean"}.items()
    assert "scikit_learn" in details
    assert tuple(scores["explicitness"].breakdown) == NAMES
    sampled = Modularity(300, 200, codes="sampled", num_repeats=0)(encoded)
    assert list(sampled) == ["modularity_sampled_codes", "explicitness_sampled_codes"]
