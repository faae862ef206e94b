"""Medians of cells with their intervals, and orders along a setting."""

import numpy as np
import pytest

from vaelab.reproduction.cells import cells, medians, table
from vaelab.reproduction.measurement import Number
from vaelab.reproduction.runs import TargetRun
from vaelab.runs.statistics import bootstrap


def runs(values, **others):
    """{(beta, seed): x} -> runs."""
    return [
        TargetRun({"beta": str(beta), "seed": str(seed)} | others, {"x": x, "name": "text"})
        for (beta, seed), x in values.items()
    ]


RISING = {(beta, seed): beta * 10 + seed for beta in (1, 2, 4) for seed in (0, 1, 2)}


def test_medians_of_cells():
    found = medians(runs(RISING), ["beta"])
    assert {n: one.value for n, one in found.items()} == {"x at 1": 11, "x at 2": 21, "x at 4": 41}


def test_median_over_all_runs():
    found = medians(runs(RISING), [])
    assert list(found) == ["x of all"]
    assert found["x of all"].value == 21
    assert found["x of all"].num_runs == 9


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
        cell = table(runs({(1, seed): x for seed, x in enumerate(values)}), ["beta"], ["x"])
        assert cell.endswith("| 1 | 3 | nan [nan, nan] |")


def test_difference_resamples_the_seeds_in_pairs():
    """The seed moves both cells by up to 100, their difference is 1 or 2."""
    values = {(1, seed): 100.0 * seed for seed in range(5)}
    values |= {(2, seed): 100.0 * seed + 1 + seed % 2 for seed in range(5)}
    at = medians(runs(values), ["beta"])
    gap = at["x at 2"] - at["x at 1"]
    assert gap.value == 1
    assert gap.interval[0] >= 1
    assert gap.interval[1] <= 2
    assert at["x at 1"].interval[1] - at["x at 1"].interval[0] >= 100


def test_difference_pairs_cells_that_have_settings_of_their_own():
    some = runs({(1, s): 1.0 + s for s in range(3)}) + runs(
        {(2, s): 2.0 + s for s in range(3)}, estimator="mws"
    )
    at = medians(some, ["beta"])
    assert (at["x at 2"] - at["x at 1"]).interval == (1, 1)


def test_difference_of_other_seeds_has_no_interval():
    one, other = Number(2.0, None, {"seed=0": 1.0, "seed=1": 3.0}), Number(1.0)
    assert (one - other) == Number(1.0, None, {})


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


def test_a_cell_may_have_settings_that_others_lack():
    settings = {"objective": "iwae", "k": "5"}, {"objective": "vae"}
    named = cells([TargetRun(each, {}) for each in settings], ["objective", "k"])
    assert list(named) == ["iwae 5", "vae"]


def test_table_has_a_row_a_cell():
    lines = table(runs(RISING), ["beta"], ["x", "absent"]).splitlines()
    assert lines[0] == "| beta | runs | x | absent |"
    assert lines[2] == "| 1 | 3 | 11 [10, 12] | nan |"
    assert len(lines) == 5
