"""InfoMEC against oracles: perfect, quantised and mixed codes, noise, and an own estimator."""

import math

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from vaelab.errors import UserError
from vaelab.metrics import InfoMEC, PrecomputedCodes, Score, info_mec
from vaelab.metrics.info_mec import _concentration
from vaelab.metrics.mutual_information import entropy, mutual_information

SIZES = (3, 6, 40, 32, 32)  # of dSprites


def draw(num, seed=0):
    return np.stack(
        [np.random.default_rng((seed, f)).integers(size, size=num) for f, size in enumerate(SIZES)],
        1,
    )


@pytest.mark.parametrize(
    ("num", "infom", "infoc"),
    [(1_000, 0.745, 0.733), (10_000, 0.970, 0.969), (100_000, 0.997, 0.997)],
)
def test_perfect_codes_depend_on_the_number_of_images(num, infom, infoc):
    factors = draw(num)
    scores = info_mec(factors, factors, discrete=True) if num <= 10_000 else _two(factors)
    assert scores["infom"].value == pytest.approx(infom, abs=0.006)
    assert scores["infoc"].value == pytest.approx(infoc, abs=0.006)


def _two(factors):
    """Without the classifiers, which take long for many images."""
    shares = mutual_information(factors, factors) / entropy(factors)[:, None]
    return {"infom": Score(_concentration(shares.T)), "infoc": Score(_concentration(shares))}


def test_quantised_codes():
    factors = draw(10_000)
    codes = factors * 10 // np.array(SIZES)
    scores = info_mec(codes, factors, discrete=True)
    assert scores["infom"].value == pytest.approx(0.986, abs=0.006)
    assert scores["infoc"].value == pytest.approx(0.985, abs=0.006)


def test_noise_has_the_shares_of_its_bias():
    """The plug-in bias (V - 1)(K - 1) / 2N of each factor, over H(v): Miller 1955."""
    factors = draw(10_000)
    noise = np.random.default_rng(9).integers(10, size=(10_000, 8))
    scores = info_mec(noise, factors, discrete=True)
    bias = np.array([(size - 1) / math.log(size) for size in SIZES])
    share = bias.max() / bias.sum()
    assert scores["infom"].value == pytest.approx((share - 0.2) / 0.8, abs=0.03)
    assert scores["infoc"].value < 0.06
    assert scores["infoe"].value < 0.05


def test_modularity_is_a_mean_over_active_latents():
    factors = draw(10_000)
    rng = np.random.default_rng(3)
    rest = (rng.integers(7, size=(10_000, 5)), np.zeros((10_000, 2), int))
    both = np.concatenate([factors, *rest], 1)
    alone = info_mec(factors, factors, discrete=True)["infom"].value
    noise = info_mec(both[:, 5:10], factors, discrete=True)["infom"].value
    scores = info_mec(both, factors, discrete=True)
    assert scores["infom"].value == pytest.approx((alone + noise) / 2, abs=1e-9)
    assert scores["infom"].details["num_active"] == 10


def test_against_an_own_loop():
    rng = np.random.default_rng(5)
    factors = rng.integers((2, 3, 4), size=(500, 3))
    first, second, third = factors.T
    codes = np.stack([first + second, third % 2, rng.integers(3, size=500)], 1)
    nmi = np.array(
        [[mutual_info_score(v, z) / mutual_info_score(v, v) for z in codes.T] for v in factors.T]
    )
    infom = ((nmi.max(0) / nmi.sum(0)).mean() - 1 / 3) / (1 - 1 / 3)
    infoc = ((nmi.max(1) / nmi.sum(1)).mean() - 1 / 3) / (1 - 1 / 3)
    scores = info_mec(codes, factors, discrete=True)
    assert scores["infom"].value == pytest.approx(infom, abs=1e-10)
    assert scores["infoc"].value == pytest.approx(infoc, abs=1e-10)


def test_continuous_latents():
    """A latent of 1/30 of the largest range is inactive; the others each show one factor."""
    rng = np.random.default_rng(7)
    factors = rng.integers((3, 4), size=(2_000, 2))
    codes = factors + 0.05 * rng.standard_normal((2_000, 2))
    small = codes.max() / 30 * rng.random((2_000, 1))
    scores = info_mec(np.concatenate([codes, small], 1), factors)
    assert scores["infom"].details["num_active"] == 2
    assert scores["infom"].value > 0.9
    assert scores["infoc"].value > 0.9
    assert scores["infoe"].value > 0.5
    mixed = codes @ np.array([[1.0, 1.0], [-1.0, 1.0]])
    entangled = info_mec(mixed, factors)
    assert entangled["infom"].value < 0.4
    assert entangled["infoe"].value == pytest.approx(scores["infoe"].value, abs=0.02)  # linear


def test_explicit_codes_are_predicted_exactly():
    factors = draw(600)[:, :2]
    assert info_mec(factors, factors, discrete=True)["infoe"].value > 0.99
    constant = np.concatenate([factors[:, :1], np.zeros((600, 1), int)], 1)
    explicit = info_mec(constant, factors, discrete=True)["infoe"].breakdown
    assert explicit["factor 0"] > 0.99
    assert explicit["factor 1"] < 0.02


def test_metric_of_given_codes_has_intervals():
    factors = draw(2_000)[:, :2]
    codes = factors + 0.1 * np.random.default_rng(1).standard_normal(factors.shape)
    scores = InfoMEC(num_samples=1_000, num_repeats=2)(PrecomputedCodes(codes, factors))
    assert list(scores) == ["infom", "infoe", "infoc"]
    for score in scores.values():
        low, high = score.interval
        assert low <= score.value <= high


def test_rejects():
    factors = draw(100)
    with pytest.raises(UserError, match="factors expects at least 2 factors"):
        info_mec(factors, factors[:, :1])
    with pytest.raises(UserError, match="num_neighbors expects an integer of at least 1, got 0"):
        info_mec(factors, factors, num_neighbors=0)
