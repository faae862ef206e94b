"""IRS of hand-made codes, against a slow one."""

import numpy as np
import pytest

from vaelab.errors import UserError
from vaelab.metrics.irs import IRS, irs


def slow(codes, factors, diff_quantile):
    weights, scores = [], []
    for code in codes.T:
        largest = max(abs(code - code.mean()))
        if largest == 0:
            continue
        best = -np.inf
        for factor in factors.T:
            within = []
            for value in set(factor):
                group = code[factor == value]
                within.append(np.quantile(abs(group - group.mean()), diff_quantile))
            best = max(best, 1 - np.mean(within) / largest)
        weights.append(largest)
        scores.append(best)
    return np.average(scores, weights=weights)


@pytest.mark.parametrize("diff_quantile", [0.5, 0.99, 1.0])
@pytest.mark.parametrize("kind", ["linear", "rotated", "noise"])
def test_agrees_with_the_slow_one(oracle, draw_factors, kind, diff_quantile):
    factors = draw_factors(1000)
    codes = oracle(kind, factors)
    codes[:, 9] = 0
    score = irs(codes, factors, diff_quantile=diff_quantile)
    assert score.value == pytest.approx(slow(codes, factors, diff_quantile), abs=1e-10)


def test_latents_of_one_factor_each_are_robust(draw_factors):
    """Which they would not be in 20 bins, that merge values of the last three factors."""
    factors = draw_factors(5000)
    score = irs(factors, factors)
    assert score.value == pytest.approx(1, abs=1e-12)
    assert irs(np.concatenate([factors, factors], 1), factors).value == pytest.approx(1, abs=1e-12)


def test_oracles_are_in_order(oracle, draw_factors):
    factors = draw_factors(10_000)
    linear, rotated, noise = (
        irs(oracle(kind, factors), factors).value for kind in ("linear", "rotated", "noise")
    )
    # Of the weights of the linear code, 5 of about 5.2 are fully robust.
    assert linear == pytest.approx(0.976, abs=0.01)
    assert noise + 0.2 < rotated < linear - 0.2


def test_noise_scores_what_its_tails_say():
    """Known: 1 - (0.99 quantile of |uniform on [-1, 1]|) / 1 on any factor."""
    rng = np.random.default_rng(0)
    score = irs(rng.uniform(-1, 1, (50_000, 2)), rng.integers(3, size=(50_000, 2)))
    assert score.value == pytest.approx(0.01, abs=0.003)


def test_it_can_be_negative():
    """0 with one 1, and 1 with one 0: each group strays further from its mean than all do."""
    factors = np.repeat([[0], [1]], 100, axis=0)
    codes = factors.astype(float)
    codes[[0, 100]] = 1 - codes[[0, 100]]
    assert irs(codes, factors, diff_quantile=1).value == pytest.approx(1 - 0.99 / 0.5)


def test_only_latents_that_vary_count(oracle, draw_factors):
    factors = draw_factors(1000)
    codes = oracle("rotated", factors)
    constant = np.full((1000, 3), 0.1)
    score, more = irs(codes, factors), irs(np.concatenate([codes, constant], 1), factors)
    assert more == score
    assert more.details["num_active"] == 10
    nothing = irs(constant, factors)
    assert (nothing.value, nothing.details["num_active"]) == (0, 0)


def test_inactive_latents_hardly_count(draw_factors):
    factors = draw_factors(1000)
    inactive = 1e-6 * np.random.default_rng(0).standard_normal((1000, 5))
    assert irs(np.concatenate([factors, inactive], 1), factors).value == pytest.approx(1, abs=1e-5)


def test_order_common_scale_and_sign_of_latents_do_not_matter(oracle, draw_factors):
    factors = draw_factors(1000)
    codes = oracle("rotated", factors)
    moved = codes[:, ::-1] * np.where(np.arange(10) % 2, 7, -7) + 5
    values = [irs(z, factors).value for z in (codes, moved)]
    assert values[0] == pytest.approx(values[1], abs=1e-10)


@pytest.mark.parametrize(
    ("codes", "factors", "options", "sentence"),
    [
        (np.full((30, 2), np.nan), np.arange(30)[:, None] % 3, {}, "finite numbers, got nan"),
        (np.zeros((30, 2)), np.zeros((30, 1)), {}, "columns that vary, got factor 0"),
        (
            np.zeros((30, 2)),
            np.arange(30)[:, None] % 3,
            {"diff_quantile": 99},
            "diff_quantile expects a number above 0 and of at most 1, got 99",
        ),
    ],
)
def test_sentences(codes, factors, options, sentence):
    with pytest.raises(UserError, match=sentence):
        irs(codes, factors, **options)


def test_the_configured_metric(oracle, draw_factors, encoded_table):
    factors = draw_factors(20_000)
    encoded = encoded_table(oracle("linear", factors), factors)
    (name, score), *rest = IRS()(encoded).items()
    assert (name, rest) == ("irs", [])
    assert score.value == pytest.approx(0.976, abs=0.01)
    expected = {"num_samples": 10_000, "diff_quantile": 0.99, "codes": "mean", "num_active": 10}
    assert score.details.items() >= expected.items()
    assert list(IRS(100, codes="sampled")(encoded)) == ["irs_sampled_codes"]
