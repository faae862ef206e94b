"""Hand-made codes of dSprites' factors, whose scores are known (oracles)."""

import numpy as np
import pytest

from vaelab.data.rendering import SIZES
from vaelab.oracles import oracle_codes


@pytest.fixture
def draw_factors():
    """num -> factors (num, 5) drawn uniformly from the grid of dSprites."""

    def draw(num, seed=0):
        rng = np.random.default_rng(seed)
        return np.stack([rng.integers(size, size=num) for size in SIZES], axis=1)

    return draw


@pytest.fixture
def oracle():
    """(kind, factors) -> codes (N, 10) of `oracle_codes`."""
    return lambda kind, factors, seed=1: oracle_codes(kind, factors, np.random.default_rng(seed))
