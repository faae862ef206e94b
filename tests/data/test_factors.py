"""The factor grid: numbering, sampling, and what it refuses."""

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
    assert torch.equal(SPACE.ravel(factors), index)
    assert (len(SPACE), SPACE.num_factors, SPACE.strides) == (60, 3, (20, 5, 1))


def test_shapes_carry_over():
    index = torch.randint(60, (2, 7), dtype=torch.int32)
    factors = SPACE.unravel(index)
    assert factors.shape == (2, 7, 3)
    assert torch.equal(SPACE.ravel(factors), index.long())
    assert torch.equal(SPACE.values(index, "scale"), factors[..., 1])
    assert SPACE.ravel(torch.tensor([2, 3, 4])).shape == ()


def test_samples_are_uniform_and_reproducible():
    draw = SPACE.sample(60_000, torch.Generator().manual_seed(1))
    counts = torch.bincount(SPACE.ravel(draw), minlength=60)
    chi_square = ((counts - 1000.0) ** 2 / 1000).sum()
    assert 25 < chi_square < 110  # 59 degrees of freedom: outside with probability below 1e-4
    assert torch.equal(draw, SPACE.sample(60_000, torch.Generator().manual_seed(1)))


def test_factors_can_be_fixed_for_all_rows_or_row_by_row():
    rows = torch.arange(100) % 4
    free = SPACE.sample(100, torch.Generator().manual_seed(0))
    draw = SPACE.sample(100, torch.Generator().manual_seed(0), {"posX": 2, "scale": rows})
    assert (draw[:, 2] == 2).all()
    assert torch.equal(draw[:, 1], rows)
    assert torch.equal(draw[:, 0], free[:, 0])  # fixing one leaves the others as they were


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SPACE.position("posx"), "got 'posx'. Write posX"),
        (lambda: SPACE.sample(2, fixed={"scale": 4}), "'scale' in 0 to 3 but got 4"),
        (lambda: SPACE.sample(2, fixed={"scale": torch.zeros(3)}), r"got shape \(3,\)"),
        (lambda: SPACE.ravel(torch.tensor([0, 0, -1])), "'posX' in 0 to 4 but got -1"),
        (lambda: SPACE.ravel(torch.zeros(4, 2)), r"\(4, 2\). Put shape, scale, posX"),
        (lambda: FactorSpace(("a", "a"), (1, 2)), "distinct factor names"),
        (lambda: FactorSpace(("a",), (0,)), "size of at least 1"),
        (lambda: FactorSpace((), ()), "distinct factor names"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(UserError, match=message):
        call()
