"""Scores of classifiers: tables whose error and calibration are known, and scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from vaelab.errors import UserError
from vaelab.metrics.classification import (
    calibration_error,
    classification_error,
    fit_logistic_regression,
    mean_log_posterior,
    reliability,
)


def table_of(confidence, num_right):
    """log p (2, N) of class 0 with each confidence, and labels of which as many are 0."""
    confidence = np.asarray(confidence, float)
    y = np.concatenate([np.arange(len(confidence[0])) >= n for n in num_right]).astype(int)
    p = confidence.ravel()
    return np.log([p, 1 - p]), y


@pytest.fixture
def predictions():
    """log p (4, N) of 4,000 images and classes drawn from it: calibrated, but noisy."""
    rng = np.random.default_rng(0)
    log_p = log_softmax(2 * rng.normal(size=(4, 4000)), axis=0)
    y = (rng.random(4000) > np.exp(log_p).cumsum(0)).sum(0)
    return log_p, np.minimum(y, 3)


def test_error_and_log_posterior_by_hand():
    log_p = np.log([[0.7, 0.2, 0.5], [0.2, 0.5, 0.1], [0.1, 0.3, 0.4]])
    y = np.array([0, 2, 0])
    error = classification_error(log_p, y)
    assert error.value == pytest.approx(1 / 3)
    # Wilson: (k + z^2 / 2) / (n + z^2) +- ...
    assert error.interval == pytest.approx((0.0615, 0.7923), abs=1e-3)
    score = mean_log_posterior(log_p, y)
    assert score.value == pytest.approx(-log_loss(y, np.exp(log_p).T, labels=[0, 1, 2]))
    low, high = score.interval
    assert low < score.value < high <= 0


def test_without_an_error_the_interval_is_not_empty():
    score = classification_error(np.log([[0.9] * 50, [0.1] * 50]), np.zeros(50, int))
    assert score.value == 0
    assert 0.05 < score.interval[1] < 0.1


def test_classes_in_another_order_have_the_same_scores(predictions):
    log_p, y = predictions
    order = np.array([2, 0, 3, 1])
    for score in (classification_error, mean_log_posterior, calibration_error):
        assert score(log_p[order], np.argsort(order)[y]).value == pytest.approx(
            score(log_p, y).value, abs=1e-12
        )


def test_a_perfectly_calibrated_table_has_no_error():
    levels = [0.6, 0.7, 0.8, 0.9]
    log_p, y = table_of([[level] * 100 for level in levels], [100 * level for level in levels])
    score = calibration_error(log_p, y, num_bins=4)
    assert score.value == pytest.approx(0, abs=1e-12)
    assert score.details["num_bins"] == 4
    bins = reliability(log_p, y, num_bins=4)
    np.testing.assert_allclose(bins.confidence, levels)
    np.testing.assert_allclose(bins.accuracy, levels)
    assert bins.num_images.tolist() == [100] * 4


@pytest.mark.parametrize("num_bins", [1, 15])
def test_a_constant_table_is_off_by_confidence_minus_accuracy(num_bins):
    """In one bin, whatever their order: equal confidences are never divided."""
    log_p, y = table_of([[0.9] * 200], [150])
    score = calibration_error(log_p, y, num_bins=num_bins)
    assert score.value == pytest.approx(0.15, abs=1e-12)
    assert score.details["num_bins"] == 1
    low, high = score.interval
    # The standard error of 150 of 200 is .0306.
    assert low == pytest.approx(0.15 - 1.96 * 0.0306, abs=0.02)
    assert high == pytest.approx(0.15 + 1.96 * 0.0306, abs=0.02)


def test_bins_are_equally_full_and_weighted_by_hand(predictions):
    log_p, y = predictions
    bins = reliability(log_p, y, num_bins=10)
    assert bins.num_images.tolist() == [400] * 10
    confidence, right = np.exp(log_p.max(0)), log_p.argmax(0) == y
    order = np.argsort(confidence).reshape(10, 400)
    slow = np.abs(right[order].mean(1) - confidence[order].mean(1)).mean()
    assert calibration_error(log_p, y, num_bins=10).value == pytest.approx(slow, abs=1e-12)


def test_bins_of_equal_width_divide_the_unit_interval():
    log_p, y = table_of([[0.62] * 10, [0.68] * 10, [0.71] * 10], [5, 6, 7])
    bins = reliability(log_p, y, num_bins=10, equal_width=True)
    np.testing.assert_allclose(bins.confidence, [0.65, 0.71])
    np.testing.assert_allclose(bins.accuracy, [0.55, 0.7])
    # Wilson's interval of 7 of 10.
    np.testing.assert_allclose(bins.interval[:, 1], [0.3968, 0.8922], atol=1e-3)
    assert bins.num_images.tolist() == [20, 10]


def test_noise_floor_is_what_a_calibrated_classifier_scores_on_average():
    """Over 200 draws of classes from p(y|x): the bias of the estimate at an ECE of 0."""
    rng = np.random.default_rng(0)
    log_p = log_softmax(2 * rng.normal(size=(3, 300)), axis=0)
    scores = []
    for _ in range(200):
        y = np.minimum((rng.random(300) > np.exp(log_p).cumsum(0)).sum(0), 2)
        scores.append(calibration_error(log_p, y, num_bootstrap=0))
    found = np.array([score.value for score in scores])
    floor = np.mean([score.details["noise_floor"] for score in scores])
    assert found.mean() == pytest.approx(floor, rel=0.1)
    assert found.mean() > 0.05


def test_overconfidence_is_found(predictions):
    log_p, y = predictions
    assert calibration_error(log_p, y).value < 0.03
    assert calibration_error(log_softmax(3 * log_p, 0), y).value > 0.1


def test_logistic_regression_minimises_its_formula():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 2)), rng.integers(3, size=60)
    penalty = 0.05

    def loss(flat):
        weights, bias = flat[:6].reshape(3, 2), flat[6:]
        log_p = log_softmax(x @ weights.T + bias, axis=1)
        return -log_p[np.arange(60), y].mean() + penalty / 2 * (weights**2).sum()

    best = minimize(loss, np.zeros(9)).x
    slow = log_softmax(x @ best[:6].reshape(3, 2).T + best[6:], axis=1)
    log_posterior = fit_logistic_regression(torch.tensor(x), torch.tensor(y), penalty=penalty)
    np.testing.assert_allclose(log_posterior(torch.tensor(x)).T, slow, atol=2e-3)


@pytest.mark.parametrize(
    ("log_p", "y", "sentence"),
    [
        (np.log([[0.5] * 3] * 2), [0, 1], r"log_p expects \(C, N\) beside labels y \(N,\)"),
        (np.log([[0.5] * 2] * 2), [0, 2], "y expects integers from 0 to 1, got 0 to 2"),
        (np.log([[0.5] * 2] * 2), [0.0, 1.0], "y expects integers from 0 to 1"),
        (np.log([[0.5] * 2] * 3), [0, 1], "probabilities that sum to 1 over the classes, got 1.5"),
        (np.full((2, 2), np.nan), [0, 1], "probabilities that sum to 1 over the classes, got nan"),
    ],
)
def test_sentences(log_p, y, sentence):
    for score in (classification_error, mean_log_posterior, calibration_error, reliability):
        with pytest.raises(UserError, match=sentence):
            score(log_p, np.array(y))


def test_other_sentences():
    certain = np.array([[0.0, 0.0], [-np.inf, -np.inf]])
    with pytest.raises(UserError, match="log_p expects a probability above 0 of each image's clas"):
        mean_log_posterior(certain, np.array([0, 1]))
    assert classification_error(certain, np.array([0, 1])).value == 0.5
    with pytest.raises(UserError, match="num_bins expects an integer of at least 1, got 0"):
        reliability(certain, np.array([0, 1]), num_bins=0)
    with pytest.raises(UserError, match="penalty expects a number above 0, got 0"):
        fit_logistic_regression(torch.eye(2), torch.tensor([0, 1]), penalty=0)
    with pytest.raises(UserError, match=r"y expects rows of each class from 0, .* got \[0, 2\]"):
        fit_logistic_regression(torch.eye(2), torch.tensor([0, 2]))
