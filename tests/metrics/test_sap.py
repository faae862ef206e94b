"""SAP and its form by squared correlation: oracles, slow forms, invariances, what they reject."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from vaelab.errors import UserError
from vaelab.metrics.sap import SAP, SAPR2, sap, sap_r2

NAMES = ("shape", "scale", "orientation", "posX", "posY")


@pytest.fixture
def given(draw_factors, oracle):
    """kind, num -> codes and factors."""
    return lambda kind, num=6000: (oracle(kind, draw_factors(num)), draw_factors(num))


def test_oracle_of_linear_codes(given):
    score = sap(*given("linear"), num_train=4000, names=NAMES)
    assert float(score) == pytest.approx(0.18, abs=0.02)
    # A latent without a clue classifies 1/3 of the shapes.
    assert score.breakdown["shape"] == pytest.approx(0.66, abs=0.03)
    assert score.breakdown["scale"] == pytest.approx(0.17, abs=0.03)
    assert max(score.breakdown[name] for name in NAMES[2:]) < 0.05
    assert score.details["num_train"] == 4000
    assert score.details["num_test"] == 2000


def test_more_images_raise_the_oracle(given):
    """C=0.01 restrains the classifiers less: an accuracy of .66 of the scales, and not of .33."""
    score = sap(*given("linear", 15_000), num_train=10_000, names=NAMES)
    assert score.breakdown["scale"] == pytest.approx(0.5, abs=0.03)
    assert float(score) == pytest.approx(0.25, abs=0.01)


def test_the_score_depends_on_the_scale_of_the_codes(given):
    """As the docs say: 0.245 for codes in [-1, 1], 0.176 for the same in [0, 1]."""
    codes, factors = given("linear", 15_000)
    codes[:, :5] = (codes[:, :5] + 1) / 2
    score = sap(codes, factors, num_train=10_000)
    assert float(score) == pytest.approx(0.176, abs=0.01)


def test_oracles_of_rotated_codes_and_noise(given):
    assert float(sap(*given("rotated"), num_train=4000)) == pytest.approx(0.17, abs=0.02)
    assert float(sap(*given("noise"), num_train=4000)) == pytest.approx(0.005, abs=0.005)


def test_r2_of_known_codes(given):
    codes, factors = given("linear")
    score = sap_r2(codes, factors, names=NAMES)
    # Squared correlations of 6,000 independent pairs are 1 / 6,000 on average.
    assert float(score) == pytest.approx(1, abs=0.005)
    # Each of the rotated ones has half of x and half of y: no gap there.
    rotated = sap_r2(*given("rotated"), names=NAMES)
    assert rotated.breakdown["shape"] == pytest.approx(1, abs=0.005)
    assert rotated.breakdown["posX"] == pytest.approx(0, abs=0.05)
    assert float(sap_r2(*given("noise"))) < 0.002


def test_r2_agrees_with_corrcoef(given):
    codes, factors = given("rotated", 500)
    squared = np.corrcoef(codes.T, factors.T)[:10, 10:] ** 2
    gaps = [sorted(column)[-1] - sorted(column)[-2] for column in squared.T]
    score = sap_r2(codes, factors)
    assert list(score.breakdown.values()) == pytest.approx(gaps, abs=1e-12)
    assert float(score) == pytest.approx(np.mean(gaps), abs=1e-12)


def test_agrees_with_plain_loops_and_the_solver_of_the_study(given):
    codes, factors = given("rotated", 900)
    rng = np.random.default_rng(0)
    order = rng.permutation(900)
    train, test = order[:600], order[600:]
    table = np.zeros((10, 5))
    for j in range(10):
        for f in range(5):
            model = LinearSVC(C=0.01, class_weight="balanced", dual=True, random_state=0)
            model.fit(codes[train, j : j + 1], factors[train, f])
            table[j, f] = np.mean(model.predict(codes[test, j : j + 1]) == factors[test, f])
    ordered = np.sort(table, axis=0)
    score = sap(codes, factors, rng=np.random.default_rng(0))
    # Solved to a tolerance of 1e-4, so one of 300 test images may fall on the other side.
    expected = ordered[-1] - ordered[-2]
    assert list(score.breakdown.values()) == pytest.approx(expected.tolist(), abs=1.01 / 300)


@pytest.mark.parametrize("metric", [sap, sap_r2])
def test_changes_of_codes(metric, given):
    codes, factors = given("linear", 1500)
    reference = float(metric(codes, factors))
    assert float(metric(codes[:, ::-1], factors)) == pytest.approx(reference)
    constant = np.concatenate([codes, np.full((1500, 2), 0.1)], axis=1)
    assert float(metric(constant, factors)) == pytest.approx(reference, abs=0.01)
    duplicated = np.concatenate([codes, codes], axis=1)
    assert float(metric(duplicated, factors)) == pytest.approx(0, abs=1e-12)


def test_r2_knows_no_scale_nor_offset(given):
    codes, factors = given("rotated", 800)
    reference = sap_r2(codes, factors)
    moved = codes * 10.0 ** np.arange(-5, 5) + 3
    assert sap_r2(moved, factors).value == pytest.approx(reference.value, abs=1e-9)


def test_r2_of_constant_codes_is_zero(given):
    _, factors = given("noise", 300)
    assert float(sap_r2(np.full((300, 3), 0.1), factors)) == 0


def test_same_generator_same_number(given):
    codes, factors = given("linear", 600)
    one, two, other = (sap(codes, factors, rng=np.random.default_rng(s)) for s in (5, 5, 6))
    assert one == two
    assert one != other


def test_of_a_run(given, encoded_table):
    codes, factors = given("linear", 900)
    encoded = encoded_table(codes, factors, NAMES)
    scores = SAP(num_train=400, num_test=200)(encoded) | SAPR2(num_samples=700)(encoded)
    assert set(scores) == {"sap", "sap_r2"}
    assert scores["sap"].details["num_test"] == 200
    assert scores["sap_r2"].details["num_samples"] == 700
    assert tuple(scores["sap"].breakdown) == NAMES
    assert scores["sap"].value < 0.3 < scores["sap_r2"].value
    assert set(SAPR2(codes="sampled", num_samples=50)(encoded)) == {"sap_r2_sampled_codes"}


@pytest.mark.parametrize("metric", [sap, sap_r2])
def test_what_they_refuse(metric, given):
    codes, factors = given("linear", 300)
    broken = codes.copy()
    broken[7, 2] = np.nan
    with pytest.raises(UserError, match="finite numbers, got nan in row 7"):
        metric(broken, factors)
    with pytest.raises(UserError, match="columns that vary"):
        metric(codes, factors * [1, 1, 0, 1, 1])
    with pytest.raises(UserError, match="at least 2 latents, got 1"):
        metric(codes[:, :1], factors)


def test_sap_keeps_images_to_test_on(given):
    codes, factors = given("linear", 300)
    with pytest.raises(UserError, match="num_train expects an integer of at least 1 and below 300"):
        sap(codes, factors, num_train=300)
    with pytest.raises(UserError, match="vary"):
        sap(codes[:1], factors[:1])
