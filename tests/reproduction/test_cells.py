"""Medians of cells and orders along a setting."""

import pytest

from vaelab.reproduction.cells import cells, medians, table
from vaelab.reproduction.runs import TargetRun, expand


def runs(values):
    """{(beta, seed): x} -> runs."""
    return [
        TargetRun({"beta": str(beta), "seed": str(seed)}, {"x": x, "name": "text"})
        for (beta, seed), x in values.items()
    ]


RISING = {(beta, seed): beta * 10 + seed for beta in (1, 2, 4) for seed in (0, 1, 2)}


def test_medians_of_cells():
    assert medians(runs(RISING), ["beta"]) == {"x at 1": 11, "x at 2": 21, "x at 4": 41}


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
        assert numbers[f"x {order}"] == count


def test_a_cell_may_have_settings_that_others_lack():
    settings = {"objective": "iwae", "k": "5"}, {"objective": "vae"}
    named = cells([TargetRun(each, {}) for each in settings], ["objective", "k"])
    assert list(named) == ["iwae 5", "vae"]


def test_table_has_a_row_a_cell():
    lines = table(runs(RISING), ["beta"], ["x", "absent"]).splitlines()
    assert lines[0] == "| beta | runs | x | absent |"
    assert lines[2] == "| 1 | 3 | 11 [10, 12] | nan |"
    assert len(lines) == 5


def test_expand_is_hydras_sweep():
    assert expand(["a.b=1,2", "seed=range(2)", "c=[1,2]"]) == [
        ["a.b=1", "seed=0", "c=[1,2]"],
        ["a.b=1", "seed=1", "c=[1,2]"],
        ["a.b=2", "seed=0", "c=[1,2]"],
        ["a.b=2", "seed=1", "c=[1,2]"],
    ]
