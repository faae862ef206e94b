"""MIG of hand-made codes, against a slow one."""

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from vaelab.errors import UserError
from vaelab.metrics.mig import MIG, mig

NAMES = ("shape", "scale", "orientation", "posX", "posY")


def slow(codes, factors, num_bins=20):
    gaps = []
    for factor in factors.T:
        information = []
        for code in codes.T:
            binned = np.digitize(code, np.histogram(code, num_bins)[1][:-1])
            information.append(mutual_info_score(factor, binned))
        first, second = sorted(information, reverse=True)[:2]
        gaps.append((first - second) / mutual_info_score(factor, factor))
    return np.mean(gaps)


@pytest.mark.parametrize(
    ("kind", "value", "tolerance"),
    [("linear", 0.895, 0.01), ("rotated", 0.559, 0.01), ("noise", 0.0, 0.002)],
)
def test_oracles(oracle, draw_factors, kind, value, tolerance):
    factors = draw_factors(10_000)
    score = mig(oracle(kind, factors), factors)
    assert score.value == pytest.approx(value, abs=tolerance)
    assert score.interval is None


def test_oracle_of_each_factor(oracle, draw_factors):
    factors = draw_factors(10_000)
    score = mig(oracle("linear", factors), factors, names=NAMES)
    expected = dict(zip(NAMES, (0.998, 0.997, 0.801, 0.840, 0.841), strict=True))
    assert score.breakdown == pytest.approx(expected, abs=0.01)
    assert np.mean(list(score.breakdown.values())) == pytest.approx(score.value, abs=1e-12)


@pytest.mark.parametrize(("num_bins", "value"), [(10, 0.786), (50, 0.984)])
def test_oracle_of_other_bins(oracle, draw_factors, num_bins, value):
    factors = draw_factors(10_000)
    score = mig(oracle("linear", factors), factors, num_bins=num_bins)
    assert score.value == pytest.approx(value, abs=0.01)
    assert score.details["num_bins"] == num_bins


@pytest.mark.parametrize("kind", ["linear", "rotated", "noise"])
def test_agrees_with_the_slow_one(oracle, draw_factors, kind):
    factors = draw_factors(1000)
    codes = oracle(kind, factors)
    assert mig(codes, factors).value == pytest.approx(slow(codes, factors), abs=1e-10)


def test_order_scale_and_sign_of_latents_do_not_matter(oracle, draw_factors):
    factors = draw_factors(2000)
    codes = oracle("rotated", factors)
    codes += np.random.default_rng(2).normal(0, 0.1, codes.shape)  # away from the edges of bins
    moved = codes[:, ::-1] * np.linspace(-3, 7, 10) + 5
    assert mig(moved, factors).value == pytest.approx(mig(codes, factors).value, abs=1e-10)


def test_duplicated_latents_leave_no_gap(oracle, draw_factors):
    factors = draw_factors(2000)
    codes = oracle("linear", factors)[:, :5]
    assert mig(np.concatenate([codes, -2 * codes], 1), factors).value == pytest.approx(0, abs=1e-12)


def test_constant_and_inactive_latents_change_nothing(oracle, draw_factors):
    factors = draw_factors(2000)
    codes = oracle("linear", factors)[:, :5]
    noise = np.random.default_rng(0).standard_normal((2000, 5))
    inactive = np.concatenate([codes, 1e-12 * noise], 1)
    constant = np.concatenate([codes, np.full((2000, 5), 0.3)], 1)
    # Noise has the chance information, at most (20 - 1)(40 - 1) / 2N = 0.19 of 3.7 nats.
    assert mig(constant, factors).value == pytest.approx(mig(inactive, factors).value, abs=0.05)
    assert mig(constant[:, 5:], factors).value == 0


@pytest.mark.parametrize(
    ("codes", "factors", "sentence"),
    [
        (np.full((30, 2), np.nan), np.arange(30)[:, None] % 3, "finite numbers, got nan"),
        (np.zeros((30, 2)), np.zeros((30, 1)), "columns that vary, got factor 0"),
        (
            np.zeros((10, 2)),
            np.arange(10)[:, None] % 3,
            "20 rows for as many bins, got 10",
        ),
        (np.zeros((30, 1)), np.arange(30)[:, None] % 3, "at least 2 latents, got 1"),
        (np.zeros((30, 2)), np.arange(20)[:, None] % 3, "30 rows of codes and 20 of factors"),
    ],
)
def test_sentences(codes, factors, sentence):
    with pytest.raises(UserError, match=sentence):
        mig(codes, factors)


def test_the_configured_metric(oracle, draw_factors, encoded_table):
    factors = draw_factors(20_000)
    encoded = encoded_table(oracle("linear", factors), factors, NAMES)
    (name, score), *rest = MIG()(encoded).items()
    assert (name, rest) == ("mig", [])
    assert score.value == pytest.approx(0.895, abs=0.01)
    assert score.details.items() >= {"num_samples": 10_000, "num_bins": 20, "codes": "mean"}.items()
    assert tuple(score.breakdown) == NAMES
    assert MIG()(encoded)["mig"] == score
    assert MIG(seed=1)(encoded)["mig"].value != score.value
    assert list(MIG(num_samples=100, codes="sampled")(encoded)) == ["mig_sampled_codes"]
