"""Hand-made codes with known scores."""

import numpy as np
import pytest

from vaelab.errors import UserError
from vaelab.reproduction.checks import oracle_codes


def test_unknown_kind_of_codes_is_rejected():
    factors = np.zeros((3, 5), np.int64)
    with pytest.raises(UserError, match="kind expects one of linear, rotated, noise, got 'liner'"):
        oracle_codes("liner", factors, np.random.default_rng(0))


def test_rotation_keeps_distances():
    """The rotated code is the linear one, turned in the plane of posX and posY."""
    factors = np.stack([np.zeros(40), np.zeros(40), np.zeros(40), np.arange(40) % 32, np.ones(40)])
    linear, rotated = (
        oracle_codes(kind, factors.T.astype(np.int64), np.random.default_rng(0))
        for kind in ("linear", "rotated")
    )
    np.testing.assert_allclose(
        np.linalg.norm(linear[:, 3:5], axis=1), np.linalg.norm(rotated[:, 3:5], axis=1)
    )
    np.testing.assert_array_equal(linear[:, :3], rotated[:, :3])
    np.testing.assert_array_equal(linear[:, 5:], rotated[:, 5:])
