"""Medians over the seeds of a setting with their intervals, orders, correlations, variance."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from vaelab.errors import UserError
from vaelab.reproduction.comparisons import (
    format_table,
    group_by_setting,
    medians,
    rank_correlations,
    variance_sources,
)
from vaelab.reproduction.runs import TargetRun
from vaelab.reproduction.verdict import Measurement
from vaelab.runs.statistics import bootstrap

RAW = ("", "raw ")


def runs(values, **others):
    """{(beta, seed): x} -> runs."""
    return [
        TargetRun({"beta": str(beta), "seed": str(seed)} | others, {"x": x, "name": "text"})
        for (beta, seed), x in values.items()
    ]


RISING = {(beta, seed): beta * 10 + seed for beta in (1, 2, 4) for seed in (0, 1, 2)}


def test_medians_of_settings():
    found = medians(runs(RISING), ["beta"])
    assert {n: one.value for n, one in found.items()} == {"x at 1": 11, "x at 2": 21, "x at 4": 41}


def test_median_over_all_runs():
    found = medians(runs(RISING), [])
    assert list(found) == ["x over all runs"]
    assert found["x over all runs"].value == 21
    assert found["x over all runs"].num_runs == 9


def test_median_has_its_interval_over_the_runs():
    values = [0.3, 0.1, 0.4, 0.15, 0.9]
    number = medians(runs({(1, seed): x for seed, x in enumerate(values)}), ["beta"])["x at 1"]
    assert number.interval == bootstrap(values, np.median)
    assert number.interval[0] < number.value < number.interval[1]


def test_single_run_has_the_interval_of_its_score():
    scores = {"scores": {"mig": {"interval": [0.2, 0.4]}}}
    single = TargetRun({"beta": "1"}, {"metrics/mig": 0.3, "val/elbo": -9.0} | scores)
    numbers = medians([single], ["beta"])
    assert numbers["metrics/mig at 1"].interval == (0.2, 0.4)
    assert numbers["val/elbo at 1"].interval is None
    two = medians([single, TargetRun({"beta": "1", "seed": "1"}, single.numbers)], ["beta"])
    assert two["metrics/mig at 1"].interval == (0.3, 0.3)


def test_median_with_a_number_that_could_not_be_measured_is_none():
    """Wherever it stands in the list."""
    for values in ([1, 2, float("nan")], [float("nan"), 1, 2], [1, float("nan"), 2]):
        found = medians(runs(dict(zip(((1, 0), (1, 1), (1, 2)), values, strict=True))), ["beta"])
        assert np.isnan(found["x at 1"].value)
        assert found["x at 1"].interval is None
        some = runs({(1, seed): x for seed, x in enumerate(values)})
        assert format_table(some, ["beta"], ["x"]).endswith("| 1 | 3 | nan [nan, nan] |")


def test_difference_resamples_the_seeds_in_pairs():
    """The seed changes both settings by up to 100, their difference is 1 or 2."""
    values = {(1, seed): 100.0 * seed for seed in range(5)}
    values |= {(2, seed): 100.0 * seed + 1 + seed % 2 for seed in range(5)}
    at = medians(runs(values), ["beta"])
    gap = at["x at 2"] - at["x at 1"]
    assert gap.value == 1
    assert gap.interval[0] >= 1
    assert gap.interval[1] <= 2
    assert at["x at 1"].interval[1] - at["x at 1"].interval[0] >= 100


def test_difference_pairs_runs_that_have_further_settings():
    some = runs({(1, s): 1.0 + s for s in range(3)}) + runs(
        {(2, s): 2.0 + s for s in range(3)}, estimator="mws"
    )
    at = medians(some, ["beta"])
    assert (at["x at 2"] - at["x at 1"]).interval == (1, 1)


def test_difference_of_other_seeds_has_no_interval():
    one, other = Measurement(2.0, None, {"seed=0": 1.0, "seed=1": 3.0}), Measurement(1.0)
    assert (one - other) == Measurement(1.0, None, {})


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, {"rises": 3, "never falls": 3, "falls": 0, "never rises": 0}),
        ({(2, 1): 11}, {"rises": 2, "never falls": 3, "falls": 0, "never rises": 0}),
        ({(2, 1): 5}, {"rises": 2, "never falls": 2, "falls": 0, "never rises": 0}),
        ({(2, 1): float("nan")}, {"rises": 2, "never falls": 2, "falls": 0, "never rises": 0}),
    ],
)
def test_orders_are_counted_seed_by_seed(change, counts):
    for order, count in counts.items():
        numbers = medians(runs(RISING | change), ["beta"], {"x": order})
        assert numbers[f"x {order}"].value == count


def test_unknown_order_is_rejected():
    with pytest.raises(UserError, match=r"orders expects one of rises, falls, .*got 'rise'"):
        medians(runs(RISING), ["beta"], {"x": "rise"})


def test_settings_may_have_different_names():
    settings = {"objective": "iwae", "k": "5"}, {"objective": "vae"}
    named = group_by_setting([TargetRun(each, {}) for each in settings], ["objective", "k"])
    assert list(named) == ["iwae 5", "vae"]


def test_table_has_one_row_per_setting():
    lines = format_table(runs(RISING), ["beta"], ["x", "absent"]).splitlines()
    assert lines[0] == "| beta | runs | x | absent |"
    assert lines[2] == "| 1 | 3 | 11 [10, 12] | nan |"
    assert len(lines) == 5


@pytest.fixture
def scored():
    """settings -> (mig, sap, elbo) of 2 methods x 2 strengths x 4 seeds."""
    rng = np.random.default_rng(0)
    return [
        TargetRun(
            {"target": target, "objective.beta": beta, "seed": str(seed)},
            dict(zip(("mig", "sap", "elbo"), rng.normal(size=3), strict=True)),
        )
        for target in ("f1", "f3")
        for beta in ("1", "4")
        for seed in range(4)
    ]


def test_rank_correlations_are_spearmans(scored):
    numbers = rank_correlations(scored, ["mig", "sap"], ["elbo"])
    mig, sap, elbo = ([run.numbers[name] for run in scored] for name in ("mig", "sap", "elbo"))
    assert numbers["rho mig, sap"] == pytest.approx(spearmanr(mig, sap).statistic)
    assert numbers["rho elbo, mig"] == pytest.approx(spearmanr(elbo, mig).statistic)
    assert numbers["mean rho sap"] == numbers["smallest mean rho except mig"]


def test_metric_that_agrees_least_is_found(scored):
    for run in scored:
        run.numbers["like"] = run.numbers["mig"] ** 3
    numbers = rank_correlations(scored, ["mig", "like", "sap"])
    assert numbers["rho mig, like"] == pytest.approx(1)
    assert numbers["mean rho sap"] < numbers["smallest mean rho except sap"]


@pytest.mark.parametrize(
    ("source", "share"), [("target", "method"), ("objective.beta", "strength"), ("seed", "seed")]
)
def test_share_of_the_only_source_of_variance_is_one(scored, source, share):
    values = {"f1": 0.0, "f3": 5.0, "4": 2.0}
    for run in scored:
        level = run.settings[source]
        run.numbers["x"] = values.get(level, float(level) if level.isdigit() else 0.0)
    numbers = variance_sources(scored, ["x"])
    found = {one: numbers[f"x raw share of {one}"] for one in ("method", "strength", "seed")}
    assert found == pytest.approx({one: float(one == share) for one in found})
    if share != "seed":
        assert numbers[f"x share of {share}"] == pytest.approx(1)
    assert numbers["method gap of x"] == (5 if share == "method" else 0)
    assert numbers["seed spread of x"] == (1.5 if share == "seed" else 0)


def test_noise_has_no_share_on_average_but_a_raw_one():
    """11 settings of 5 seeds, as in F8: (11 - 1) / (55 - 1) of noise."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        runs = [
            TargetRun(
                {"target": f"f{setting % 3}", "beta": str(setting), "seed": str(seed)}, {"x": x}
            )
            for setting in range(11)
            for seed, x in enumerate(rng.normal(size=5))
        ]
        numbers = variance_sources(runs, ["x"])
        found.append(
            [numbers[f"x {w}share of method"] + numbers[f"x {w}share of strength"] for w in RAW]
        )
    # A share of one set of runs has a standard deviation below 0.1.
    assert np.mean(found, axis=0) == pytest.approx([0, 10 / 54], abs=4 * 0.1 / np.sqrt(200))
