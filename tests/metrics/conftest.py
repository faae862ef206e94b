"""Hand-made codes of dSprites' factors, whose scores are known (oracles)."""

import numpy as np
import pytest

from vaelab.data.rendering import FACTORS, SIZES
from vaelab.metrics import PrecomputedCodes
from vaelab.metrics.factor_dataset import FactorDataset
from vaelab.reproduction.checks import factor_grid, oracle_codes


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


@pytest.fixture
def small(draw_factors, oracle):
    """kind -> codes and factors of 20,000 images."""
    return lambda kind: (oracle(kind, draw_factors(20_000)), draw_factors(20_000))


@pytest.fixture
def encoded_table():
    """Codes, factors and their names, as metrics see them."""
    return PrecomputedCodes


@pytest.fixture
def encoded_grid(oracle):
    """kind -> what a metric asks of an EncodedDataset, on all 737,280 combinations."""
    factors = factor_grid()

    class EncodedGrid:
        def __init__(self, kind):
            self.kind, self.asked = kind, []

        def factor_dataset(self, codes, rng):
            self.asked.append(codes)
            noise = np.random.default_rng(0)

            def codes_at(rows):
                return oracle(self.kind, factors[rows], int(noise.integers(2**31)))

            return FactorDataset(factors, codes_at, FACTORS)

    return EncodedGrid
