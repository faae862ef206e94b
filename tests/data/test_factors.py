"""The factor grid: its numbering, and what it rejects."""

import numpy as np
import pytest
import torch

from vaelab.data import FactorSpace
from vaelab.errors import UserError

SPACE = FactorSpace(("shape", "scale", "posX"), (3, 4, 5))


def test_unravel_is_a_bijection_with_the_last_factor_fastest():
    index = torch.arange(len(SPACE))
    factors = SPACE.unravel(index)
    expected = torch.cartesian_prod(torch.arange(3), torch.arange(4), torch.arange(5))
    assert torch.equal(factors, expected)
    assert (factors * torch.tensor(SPACE.strides)).sum(-1).tolist() == index.tolist()
    assert (len(SPACE), SPACE.num_factors, SPACE.strides) == (60, 3, (20, 5, 1))


def test_unravel_is_that_of_numpy_for_any_shape():
    index = torch.randint(60, (2, 7), dtype=torch.int32)
    factors = SPACE.unravel(index)
    assert factors.shape == (2, 7, 3)
    np.testing.assert_array_equal(
        factors, np.stack(np.unravel_index(index.numpy(), SPACE.sizes), -1)
    )
    assert torch.equal(SPACE.values(index, "scale"), factors[..., 1])
    assert SPACE.unravel(torch.tensor(59)).tolist() == [2, 3, 4]


def test_values_that_a_factor_takes_are_accepted():
    for name, size in zip(SPACE.names, SPACE.sizes, strict=True):
        SPACE.require_values(name, torch.arange(size))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SPACE.position("posx"), "^factor expects one of .*, got 'posx'; try posX"),
        (lambda: SPACE.values(torch.zeros(2), "sc"), "got 'sc'; try scale"),
        (lambda: SPACE.require_values("scale", torch.tensor([3, 4])), "'scale' .* 0 to 3, got 4"),
        (lambda: SPACE.require_values("posX", torch.tensor([-1])), "'posX' .* 0 to 4, got -1"),
        (lambda: FactorSpace(("a", "a"), (1, 2)), "distinct factor names"),
        (lambda: FactorSpace(("a",), (0,)), "size of at least 1"),
        (lambda: FactorSpace((), ()), "distinct factor names"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(UserError, match=message):
        call()
