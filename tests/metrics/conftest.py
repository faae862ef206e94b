"""Hand-made codes of dSprites' factors, whose scores are known (oracles)."""

import numpy as np
import pytest

SIZES = (3, 6, 40, 32, 32)
NAMES = ("shape", "scale", "orientation", "posX", "posY")


def linear(factors):
    """Each factor mapped linearly to [-1, 1]: (N, 5) -> (N, 5)."""
    return factors / (np.array(SIZES) - 1) * 2.0 - 1


@pytest.fixture
def draw_factors():
    """num -> factors (num, 5) drawn uniformly from the grid of dSprites."""

    def draw(num, seed=0):
        rng = np.random.default_rng(seed)
        return np.stack([rng.integers(size, size=num) for size in SIZES], axis=1)

    return draw


@pytest.fixture
def oracle():
    """(kind, factors) -> codes (N, 10).

    "linear": the five factors linearly, then five noise latents of std 0.01;
    "rotated": the same with posX and posY rotated by 45 degrees; "noise": ten standard normals.
    """

    def codes(kind, factors, seed=1):
        rng = np.random.default_rng(seed)
        if kind == "noise":
            return rng.standard_normal((len(factors), 10))
        known = linear(factors)
        if kind == "rotated":
            x, y = known[:, 3].copy(), known[:, 4].copy()
            known[:, 3], known[:, 4] = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
        return np.concatenate([known, 0.01 * rng.standard_normal((len(factors), 5))], axis=1)

    return codes
