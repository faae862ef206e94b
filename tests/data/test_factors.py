"""The factor grid: its numbering, and what it rejects."""

import numpy as np
import pytest
import torch

from vaelab.data import FactorSpace, FactorTable
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


def table_of(space, index):
    """The table of those images of a full grid."""
    return FactorTable({name: space.values(index, name) for name in space.names})


def test_a_complete_table_in_order_is_the_grid():
    index = torch.arange(len(SPACE))
    table = table_of(SPACE, index)
    assert (table.names, table.sizes, len(table)) == (SPACE.names, SPACE.sizes, len(SPACE))
    assert (table.num_factors, table.varying) == (3, SPACE.varying)
    assert torch.equal(table.unravel(index), SPACE.unravel(index))
    for name in SPACE.names:
        assert table.value_names(name) == SPACE.value_names(name)
        assert table.position(name) == SPACE.position(name)


def test_a_table_looks_up_images_in_any_order_with_holes_and_repeats():
    images = torch.tensor([59, 3, 3, 20, 41, 7, 0])
    table, some = table_of(SPACE, images), torch.tensor([[6, 1], [2, 4]], dtype=torch.int32)
    # Values that no image has are left out, and the rest numbered: 59 is (2, 3, 4), 3 (0, 0, 3).
    expected = [np.unique(SPACE.values(images, n), return_inverse=True) for n in SPACE.names]
    assert table.sizes == tuple(len(distinct) for distinct, _ in expected)
    for name, (distinct, numbers) in zip(SPACE.names, expected, strict=True):
        assert table.values(some, name).tolist() == numbers[some.numpy()].tolist()
        assert table.value_names(name) == tuple(map(str, distinct))
    assert table.unravel(some).shape == (2, 2, 3)


def test_a_factor_that_never_varies_is_no_mistake():
    table = FactorTable({"shape": ["b", "a", "b"], "scale": [4, 4, 4]})
    assert (table.sizes, table.varying) == ((2, 1), ("shape",))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1, 1], "b": ["x", "x"]}, "at least one column that varies, got a, b with one"),
        ({"a": np.arange(200.0), "b": np.arange(200) % 2}, "few values, got a with 200 values in"),
        ({"a": [1, 2], "b": [1, 2, 3]}, "columns of one length, .*, got a: 2, b: 3; give"),
        ({}, "columns of one length, .*, got none; give"),
        ({"a": [1.0, np.nan]}, "a value for each image, got nan in row 1 of column a"),
        ({"a": [[1, 2]]}, r"shape \(N,\), got int64 \(1, 2\) in column a"),
        ({"a": [None, {}]}, r"got object \(2,\) in column a"),
    ],
)
def test_tables_that_are_rejected(columns, message):
    with pytest.raises(UserError, match=f"^factors expects .*{message}"):
        FactorTable(columns)
