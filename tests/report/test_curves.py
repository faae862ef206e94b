"""The start of training is left out only where it would flatten everything after it."""

import numpy as np
import pytest

from vaelab.report.curves import _settled, _since

STEPS = list(range(0, 1001, 10))


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([1000.0 if s < 50 else 10 + s / 1000 for s in STEPS], 50),
        ([100 - s / 20 for s in STEPS], 0),
        ([7.0 for s in STEPS], 0),
        ([np.nan if s < 50 else float(s) for s in STEPS], 0),
    ],
    ids=["transient", "straight", "constant", "nan"],
)
def test_start_of_training(values, step):
    assert _settled({"train": (STEPS, values)}) == step


def test_short_curves_are_drawn_whole():
    series = {"train": (STEPS, [1000.0, *[1.0] * 100]), "validation": ([1000], [1.5])}
    assert _settled(series) == 0


def test_kept_points():
    assert _since(20, ([10, 20, 30], [1.0, 2.0, 3.0])) == ([20, 30], [2.0, 3.0])
