"""DCI: its arithmetic by hand, known codes, negative controls, learners, intervals, processes."""

import joblib
import numpy as np
import pytest
import torch
from scipy.stats import entropy

from vaelab.errors import UserError
from vaelab.metrics import PrecomputedCodes
from vaelab.metrics.dci import DCI, completeness, dci, disentanglement

REQUIRED_KEYS = ("disentanglement", "completeness", "informativeness_train", "informativeness_test")
ALONE = {"num_jobs": 1}
SIZES = np.array([3, 4, 5])


@pytest.fixture
def few():
    """600 images of three factors of 3, 4 and 5 values, and codes that are the factors."""
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(size, size=600) for size in SIZES], axis=1)
    return factors / (SIZES - 1) * 2.0 - 1, factors


def values(scores):
    return [float(scores[part]) for part in REQUIRED_KEYS]


def test_arithmetic_by_hand():
    assert disentanglement(np.eye(3)) == completeness(np.eye(3)) == 1
    assert disentanglement(np.ones((4, 3))) == pytest.approx(0, abs=1e-15)
    assert completeness(np.ones((4, 3))) == pytest.approx(0, abs=1e-15)
    # z0 is informative about both factors, z1 about the second: weights 2/3 and 1/3.
    r = np.array([[1.0, 1.0], [0.0, 1.0]])
    assert disentanglement(r) == pytest.approx(1 / 3)
    # Factor 1 comes of one latent (weight 1/3), factor 2 of both (weight 2/3).
    assert completeness(r) == pytest.approx(1 / 3)
    # Three to one: 1 - H(1/4) = 1 - 0.811278 bits for both latents.
    assert disentanglement([[3.0, 1.0], [1.0, 3.0]]) == pytest.approx(1 - 0.8112781244591328)
    # A factor spread over two of four latents: 1 - log_4 2 for it, 1 for the other.
    spread = np.array([[1.0, 0], [1, 0], [0, 2], [0, 0]])
    assert disentanglement(spread) == 1
    assert completeness(spread) == pytest.approx(0.75)


def test_arithmetic_agrees_with_scipy_and_the_small_number_of_the_study():
    r = np.random.default_rng(0).exponential(size=(10, 5))
    r[3] = 0
    by_latent = 1 - entropy(r.T + 1e-11, base=5)
    by_factor = 1 - entropy(r + 1e-11, base=10)
    assert disentanglement(r) == pytest.approx(by_latent @ r.sum(1) / r.sum(), abs=1e-9)
    assert completeness(r) == pytest.approx(by_factor @ r.sum(0) / r.sum(), abs=1e-9)


def test_latents_of_no_importance_count_for_nothing():
    r = np.random.default_rng(0).exponential(size=(4, 3))
    more = np.concatenate([r, np.zeros((2, 3))])
    assert disentanglement(more) == pytest.approx(disentanglement(r))
    assert disentanglement(np.zeros((4, 3))) == completeness(np.zeros((4, 3))) == 0


@pytest.mark.parametrize("importances", [np.ones(3), np.ones((3, 1)), -np.eye(2)])
def test_no_importances(importances):
    with pytest.raises(UserError, match="importances"):
        disentanglement(importances)


@pytest.mark.parametrize("learner", ["gradient_boosting", "random_forest", "lasso"])
def test_identity_is_near_one(few, learner):
    scores = dci(*few, learner=learner, **ALONE)
    assert min(values(scores)) > 0.95
    assert tuple(scores) == REQUIRED_KEYS


def test_factor_spread_over_two_codes_is_less_complete(few):
    codes, factors = few
    low, high = factors[:, 2] // 2, factors[:, 2] % 2  # both are needed to predict factor 2
    spread = np.stack([codes[:, 0], codes[:, 1], low, high], axis=1)
    scores = dci(spread, factors, **ALONE)
    assert scores["disentanglement"].value > 0.95
    rows = scores["completeness"].breakdown
    assert rows["factor 2"] < 0.75
    assert min(rows["factor 0"], rows["factor 1"]) > 0.95
    assert scores["informativeness_test"].value > 0.98


def test_code_that_mixes_two_factors_is_less_disentangled(few):
    codes, factors = few
    mixed = np.stack([factors[:, 0] * 4 + factors[:, 1], codes[:, 2]], axis=1)
    scores = dci(mixed, factors, **ALONE)
    rows = scores["disentanglement"].breakdown
    assert rows["z0"] < 0.5
    assert rows["z1"] > 0.95
    assert scores["completeness"].value > 0.9


def test_noise_has_little_of_anything(few):
    _, factors = few
    noise = np.random.default_rng(3).standard_normal((600, 4))
    scores = dci(noise, factors, **ALONE)
    assert scores["disentanglement"].value < 0.1
    assert scores["completeness"].value < 0.1
    # Chance is (1/3 + 1/4 + 1/5) / 3 = 0.26, with a standard error of 0.018 over 200 images.
    assert scores["informativeness_test"].value == pytest.approx(0.26, abs=0.06)
    assert scores["informativeness_train"].value > 0.6


def test_changes_of_codes(few):
    codes, factors = few
    rng = np.random.default_rng(1)
    codes, factors = codes[:300] + 0.3 * rng.standard_normal((300, 3)), factors[:300]
    reference = values(dci(codes, factors, **ALONE))
    # Trees know the order of values alone; powers of two keep float32 exact. Where splits are
    # equally good one is drawn, hence the tolerance.
    assert values(dci(codes * [4, 0.5, 16], factors, **ALONE)) == pytest.approx(reference)
    assert values(dci(codes[:, ::-1], factors, **ALONE)) == pytest.approx(reference, abs=0.03)
    constant = np.concatenate([codes, np.full((300, 2), 0.1)], axis=1)
    changed = dci(constant, factors, **ALONE)
    assert changed["disentanglement"].value == pytest.approx(reference[0], abs=0.03)
    assert changed["informativeness_test"].value == pytest.approx(reference[3], abs=0.03)
    duplicated = dci(np.concatenate([codes, codes], axis=1), factors, **ALONE)
    # Each factor is shared by two of six: at most 1 - log_6 2.
    assert duplicated["completeness"].value < 1 - np.log(2) / np.log(6)
    assert duplicated["disentanglement"].value == pytest.approx(reference[0], abs=0.05)


def test_intervals_come_from_further_fits(few):
    codes, factors = few
    codes = codes + 0.3 * np.random.default_rng(1).standard_normal(codes.shape)
    scores = DCI(400, 200, learner="lasso", num_jobs=1)(PrecomputedCodes(codes, factors))
    for part in REQUIRED_KEYS:
        score = scores[f"dci_lasso_{part}"]
        low, high = score.interval
        assert low <= score.value <= high
        assert 0 < high - low < 0.2
        assert "4 further draws of as many images" in score.details["interval"]


def test_processes_change_nothing(few):
    codes, factors = few
    noisy = codes + 0.5 * np.random.default_rng(1).standard_normal(codes.shape)
    one, two = (dci(noisy[:150], factors[:150], num_jobs=jobs) for jobs in (1, 2))
    assert one == two


def test_as_many_processes_as_threads(few, monkeypatch):
    """Of which each job of a sweep has its share."""
    asked = []

    class Parallel(joblib.Parallel):
        def __init__(self, num_jobs, **options):
            asked.append(num_jobs)
            super().__init__(1, **options)

    monkeypatch.setattr(joblib, "Parallel", Parallel)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    options = {"learner": "lasso"}
    by_threads, by_choice = (dci(*few, **options, num_jobs=jobs) for jobs in (None, 2))
    assert asked == [3, 2]
    assert values(by_threads) == values(by_choice)


def test_same_generator_same_number(few):
    codes, factors = few
    noisy = codes + 0.5 * np.random.default_rng(1).standard_normal(codes.shape)
    one, two, other = (
        dci(noisy, factors, rng=np.random.default_rng(s), **ALONE) for s in (5, 5, 6)
    )
    assert one == two
    assert values(one) != values(other)


def test_lasso_is_told_by_r_squared(few):
    codes, factors = few
    scores = dci(codes, factors, learner="lasso", **ALONE)
    # Lasso shrinks the only coefficient, 1, by alpha: R^2 = 1 - alpha^2, up to the correlations.
    assert scores["informativeness_train"].value == pytest.approx(1 - 0.02**2, abs=2e-4)
    assert scores["informativeness_train"].details["informativeness"] == "R^2"
    tiny = dci(codes * [1e-3, 1, 1e3], factors, learner="lasso", **ALONE)
    assert values(tiny) == pytest.approx(values(scores), abs=1e-6)


def test_of_a_run(few, encoded_table):
    codes, factors = few
    encoded = encoded_table(codes, factors, ("a", "b", "c"))
    sizes = {"num_train": 200, "num_test": 100, "num_repeats": 0, "num_jobs": 1}
    scores = DCI(**sizes)(encoded)
    assert set(scores) == {f"dci_{part}" for part in REQUIRED_KEYS}
    details = scores["dci_disentanglement"].details
    assert (details["num_train"], details["num_test"], details["codes"]) == (200, 100, "mean")
    assert tuple(scores["dci_informativeness_test"].breakdown) == ("a", "b", "c")
    lasso = DCI(**sizes, learner="lasso", codes="sampled")(encoded)
    assert set(lasso) == {f"dci_lasso_{part}_sampled_codes" for part in REQUIRED_KEYS}


def test_what_it_rejects(few):
    codes, factors = few
    broken = codes.copy()
    broken[7, 2] = np.nan
    with pytest.raises(UserError, match="finite numbers, got nan in row 7"):
        dci(broken, factors)
    with pytest.raises(UserError, match="columns that vary"):
        dci(codes, factors * [1, 0, 1])
    with pytest.raises(UserError, match="at least 2 latents, got 1"):
        dci(codes[:, :1], factors, **ALONE)
    with pytest.raises(UserError, match="at least 2 factors, got 1"):
        dci(codes, factors[:, :1], **ALONE)
    with pytest.raises(UserError, match=r"learner expects one of gradient_boosting, .* got 'svm'"):
        dci(codes, factors, learner="svm")
    with pytest.raises(UserError, match="num_train expects"):
        dci(codes, factors, num_train=600)
