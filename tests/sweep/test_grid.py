"""Overrides -> the jobs of a sweep, in order."""

import pytest

from vaelab.errors import UserError
from vaelab.sweep.grid import combine, select_slice
from vaelab.sweep.jobs import expand


def test_every_combination_the_last_moving_fastest():
    assert expand(["a=1,2", "b=x", "seed=range(2)"]) == [
        ["a=1", "b=x", "seed=0"],
        ["a=1", "b=x", "seed=1"],
        ["a=2", "b=x", "seed=0"],
        ["a=2", "b=x", "seed=1"],
    ]


def test_of_a_setting_named_twice_the_last_counts():
    assert expand(["a=1,2", "a=3"]) == [["a=3"]]


def test_interval_is_rejected():
    with pytest.raises(UserError, match=r"got objective.beta=interval\(1,4\); list them"):
        expand(["objective.beta=interval(1,4)"])


def test_entries_are_expanded_one_after_another_with_the_command_line():
    jobs = [["experiment=a", "x=1,2"], ["experiment=b"]]
    overrides = ["experiment=both", "seed=0,1", "hydra/launcher=local"]
    assert combine(overrides, {}, jobs) == [
        *(["experiment=a", f"x={x}", f"seed={seed}"] for x in (1, 2) for seed in (0, 1)),
        *(["experiment=b", f"seed={seed}"] for seed in (0, 1)),
    ]


def test_overrides_replace_values_of_the_file():
    assert combine(["seed=7"], {"seed": "range(50)", "x": 1}, [[]]) == [["seed=7", "x=1"]]


def test_slice_leaves_its_end_out():
    lines = [[str(i)] for i in range(10)]
    assert select_slice(lines, None) == lines
    assert select_slice(lines, "2:4") == [["2"], ["3"]]
    assert select_slice(lines, "8:") == select_slice(lines, "8:99") == [["8"], ["9"]]
    assert select_slice(lines, ":1") == [["0"]]
    assert select_slice(lines, "3") == [["3"]]


@pytest.mark.parametrize("text", ["10:12", "4:4", "5:2", "a:b", "-3:", "1:2:3"])
def test_slice_without_jobs_is_rejected(text):
    with pytest.raises(UserError, match=f"within the 10 jobs, got {text}"):
        select_slice([[str(i)] for i in range(10)], text)
