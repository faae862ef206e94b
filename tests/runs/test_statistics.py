"""Statistics over runs against closed forms, scipy and simulations with known answers."""

import itertools

import numpy as np
import pytest
from scipy import stats

from vaelab.errors import UserError
from vaelab.runs.statistics import (
    bootstrap,
    rank_correlation,
    rank_correlations,
    tukey_p_values,
    variance_shares,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("statistic", [np.mean, np.median, np.max])
def test_bootstrap_of_few_is_the_exact_one_of_all_resamples(statistic):
    values = [0.0, 1.0, 2.0, 7.0, 11.5]
    draws = [statistic(draw) for draw in itertools.product(values, repeat=5)]
    exact = np.quantile(draws, (0.05, 0.95), method="inverted_cdf")
    assert bootstrap(values, statistic, level=0.9) == pytest.approx(tuple(exact))


def test_bootstrap_of_many_is_near_the_exact_one():
    values = [0.0, 1.0, 2.0, 7.0, 11.5]
    low, high = bootstrap(values, np.mean, num_bootstrap=100)  # fewer than there are draws
    exact = bootstrap(values, np.mean)
    # The 2.5 % quantile of 100 draws is between the exact 0.1 % and 10 % ones, except 1 in 1000.
    assert bootstrap(values, np.mean, level=0.998)[0] <= low <= bootstrap(values, level=0.8)[0]
    assert low < exact[1]
    assert high > exact[0]


def test_bootstrap_of_the_median_has_its_ends_in_the_sample():
    # P(median of a resample of 3 is the least) = 7 / 27 > 2.5 %.
    assert bootstrap([3.0, 1.0, 2.0], np.median) == (1.0, 3.0)


def test_bootstrap_is_a_function_of_its_arguments(rng):
    values = rng.normal(size=12)
    assert bootstrap(values, np.mean) == bootstrap(values, np.mean)
    assert bootstrap(values, np.mean) != bootstrap(values, np.mean, seed=1)
    low, high = bootstrap(values, np.mean)
    shifted = bootstrap(10 * values + 3, np.mean)
    assert shifted == pytest.approx((10 * low + 3, 10 * high + 3))


def test_bootstrap_needs_two_runs():
    assert bootstrap([1.0], np.mean) is None
    assert bootstrap([], np.mean) is None
    with pytest.raises(UserError, match="one finite number per run"):
        bootstrap([1.0, np.nan], np.mean)


@pytest.mark.parametrize(("num", "coverage"), [(4, 0.80), (5, 0.84), (10, 0.90)])
def test_coverage_is_what_the_docstring_says(rng, num, coverage):
    trials = 2_000
    intervals = [bootstrap(rng.normal(size=num), np.mean, num_bootstrap=500) for _ in range(trials)]
    held = np.mean([low <= 0 <= high for low, high in intervals])
    # Four standard errors, and half of the last digit that the docstring gives.
    assert held == pytest.approx(coverage, abs=4 * np.sqrt(0.2 * 0.8 / trials) + 0.005)


@pytest.mark.parametrize("num", [3, 4, 5])
def test_interval_of_the_median_of_few_reaches_from_the_smallest_to_the_largest(rng, num):
    """So that it covers the median unless all values are on one side of it: 1 - 2^(1 - n)."""
    values = rng.normal(size=(4_000, num))
    intervals = np.array([bootstrap(row, np.median) for row in values])
    np.testing.assert_array_equal(intervals, np.stack([values.min(1), values.max(1)], 1))
    covers = (intervals[:, 0] <= 0) & (intervals[:, 1] >= 0)
    probability = 1 - 2.0 ** (1 - num)
    error = 4 * np.sqrt(probability * (1 - probability) / len(values))
    assert covers.mean() == pytest.approx(probability, abs=error)


def test_rank_correlation_is_pearsons_of_the_ranks(rng):
    x = rng.integers(5, size=40).astype(float)  # with ties
    y = x + rng.normal(size=40)
    ranks = [[(v < u).sum() + (v == u).sum() / 2 for u in v] for v in (x, y)]
    assert rank_correlation(x, y) == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-12)
    assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1)
    assert rank_correlation(x, -(x**3)) == pytest.approx(-1)


def test_rank_correlation_is_nan_where_there_is_none():
    assert np.isnan(rank_correlation([1, 2, 3], [5, 5, 5]))
    assert np.isnan(rank_correlation([1, 2], [1, 2]))
    assert np.isnan(rank_correlation([1, 2, 3, 4], [np.nan, np.nan, 3, 4]))
    assert np.isnan(rank_correlation([], []))


def test_rank_correlations_use_the_rows_that_both_columns_have(rng):
    a, b, c = rng.normal(size=(3, 12))
    a[0], b[1], b[2] = np.nan, np.nan, np.inf
    rho, num = rank_correlations({"a": a, "b": b, "c": c, "none": np.full(12, np.nan)})
    assert num.tolist()[0] == [11, 9, 11, 0]
    assert (num == num.T).all()
    assert rho[0, 1] == pytest.approx(stats.spearmanr(a[3:], b[3:]).statistic)
    assert rho[0, 2] == rho[2, 0] == pytest.approx(stats.spearmanr(a[1:], c[1:]).statistic)
    assert np.diag(rho)[:3] == pytest.approx(1)
    assert np.isnan(rho[3]).all()


@pytest.mark.parametrize("sizes", [(2, 2, 2), (3, 5, 4, 2), (6, 6)])
def test_tukeys_test_of_one_against_the_others_is_scipys_of_all_pairs(rng, sizes):
    samples = [rng.normal(i / 2, size=size) for i, size in enumerate(sizes)]
    expected = stats.tukey_hsd(*samples).pvalue[1]
    np.testing.assert_allclose(tukey_p_values(samples, 1), expected, atol=1e-10)


def test_tukeys_test_of_two_equal_samples_is_students(rng):
    a, b = rng.normal(size=(2, 5))
    assert tukey_p_values([a, b], 0)[1] == pytest.approx(stats.ttest_ind(a, b).pvalue)


def test_tukeys_test_of_the_best_of_many_finds_a_false_difference_as_often_as_it_says(rng):
    trials, found = 400, 0
    for _ in range(trials):
        samples = rng.normal(size=(6, 4))
        best = int(samples.mean(1).argmax())
        found += bool((tukey_p_values(list(samples), best) < 0.05).any())
    # At most 5 % for the largest of all gaps, which is that of the best and the worst.
    assert found / trials == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / trials))


def test_tukeys_test_without_noise_or_without_knowing_it():
    assert tukey_p_values([[1.0], [2.0]], 0) is None
    assert tukey_p_values([[1.0, 1.0], [2.0, 2.0], [1.0]], 0).tolist() == [1, 0, 1]
    one_run = tukey_p_values([[0.0], [1.0, 1.1], [9.0]], 0)
    assert one_run[2] < one_run[1] < one_run[0] == 1


def test_shares_of_an_option_alone_are_those_of_analysis_of_variance(rng):
    groups = [rng.normal(i, size=num) for i, num in enumerate((4, 5, 7))]
    y, labels = np.concatenate(groups), np.repeat(["a", "b", "c"], (4, 5, 7))
    shares = variance_shares(y, {"beta": labels})
    f = stats.f_oneway(*groups).statistic
    within, num, k = sum(g.var() * len(g) for g in groups), 16, 3
    assert shares["beta"].raw == pytest.approx((k - 1) * f / ((k - 1) * f + num - k))
    assert shares["beta"].corrected == pytest.approx(1 - within / (num - k) / y.var(ddof=1))
    assert shares["together"] == pytest.approx(shares["beta"])
    assert shares["seed"] == pytest.approx([1 - share for share in shares["beta"]])


def test_a_balanced_grid_adds_up_to_one(rng):
    grid = list(itertools.product((1, 4, 16), ("mlp", "conv"), range(3)))
    betas, models, _ = zip(*grid, strict=True)
    # An interaction alone: no main effect, and all that is not noise is in the settings.
    contrast = {1: 1, 4: -1, 16: 0}
    y = np.array([contrast[beta] * (1 if model == "mlp" else -1) for beta, model, _ in grid])
    shares = variance_shares(y, {"beta": betas, "model": models})
    assert shares["together"] == shares["together"]._replace(raw=1.0, corrected=1.0)
    assert (shares["beta"].raw, shares["model"].raw) == pytest.approx((0, 0))
    y = rng.normal(size=len(grid)) + np.log2(betas)
    shares = variance_shares(y, {"beta": betas, "model": models})
    for i in (0, 1):
        assert shares["together"][i] + shares["seed"][i] == pytest.approx(1)
    # SS_A + SS_B + SS_AB = SS of the settings; means over the other option are means of rows.
    cells = y.reshape(3, 2, 3).mean(2)
    interaction = cells - cells.mean(1, keepdims=True) - cells.mean(0) + cells.mean()
    raw = shares["beta"].raw + shares["model"].raw + 3 * (interaction**2).sum() / y.var() / len(y)
    assert raw == pytest.approx(shares["together"].raw)


def test_noise_explains_its_expected_share_and_nothing_corrected(rng):
    cells, seeds, trials = 6, 4, 3_000
    labels = np.repeat(np.arange(cells), seeds)
    noise = rng.normal(size=(trials, cells * seeds))
    shares = np.array([variance_shares(y, {"beta": labels})["beta"] for y in noise])
    # eta^2 is Beta((k - 1) / 2, (N - k) / 2).
    beta = stats.beta((cells - 1) / 2, (cells * seeds - cells) / 2)
    assert beta.mean() == pytest.approx((cells - 1) / (cells * seeds - 1))
    slope = (cells * seeds - 1) / (cells * seeds - cells)  # of epsilon^2 in eta^2
    tolerance = 4 * beta.std() / np.sqrt(trials)
    assert shares.mean(0)[0] == pytest.approx(beta.mean(), abs=tolerance)
    assert shares.mean(0)[1] == pytest.approx(0, abs=slope * tolerance)


def test_known_components_are_found(rng):
    """y = a + b + noise of variances 4, 1 and 5 on a grid of 5 x 4 with few seeds."""
    a, b = np.array([-2, -1, 0, 1, 2]) * np.sqrt(2), np.array([-1, 1, -1, 1])
    rows = np.array(list(itertools.product(range(5), range(4), range(5)))).T
    found = []
    for _ in range(300):
        y = a[rows[0]] + b[rows[1]] + np.sqrt(5) * rng.normal(size=rows.shape[1])
        shares = variance_shares(y, {"a": rows[0], "b": rows[1]})
        found.append([shares[name].corrected for name in ("a", "b", "together", "seed")])
    error = 4 * np.std(found, axis=0) / np.sqrt(len(found)) + 0.01  # a ratio is biased by 1 / N
    assert (np.abs(np.mean(found, axis=0) - (0.4, 0.1, 0.5, 0.5)) < error).all()


def test_what_is_confounded_is_nan():
    one_each = variance_shares([1.0, 2.0, 3.0], {"beta": [1, 2, 3]})
    constant = variance_shares([1.0, 1.0, 1.0], {"beta": [1, 1, 2]})
    for shares in (one_each, constant, variance_shares([np.nan], {"beta": [1]})):
        assert list(shares) == ["beta", "together", "seed"]
        assert np.isnan(list(shares.values())).all()


def test_rows_without_a_number_are_left_out():
    y, betas = [1.0, 2.0, 5.0, 7.0], [[1], [1], [4], [4]]
    more = variance_shares([*y, np.nan], {"beta": [*betas, [9]]})
    assert more == variance_shares(y, {"beta": betas})


@pytest.mark.parametrize("factors", [{"beta": [1]}, {"seed": [1, 2]}])
def test_options_that_do_not_fit_are_rejected(factors):
    with pytest.raises(UserError, match="factors expects 2 values per option"):
        variance_shares([1.0, 2.0], factors)
