"""Rows drawn at random, with and without a factor in common, and tables that are rejected."""

import numpy as np
import pytest

from vaelab.errors import UserError
from vaelab.metrics.factor_dataset import FactorDataset, require_codes, split_train_test

NUM = 4000


@pytest.fixture
def dataset():
    """400 rows with two factors, one of text; the code of a row is its number."""
    first = np.repeat(["a", "b", "c", "d"], [10, 90, 200, 100])
    second = np.arange(400) % 7
    factors = np.stack([first, second.astype(str)], axis=1)
    return FactorDataset.of(np.arange(400.0)[:, None], factors, ["letter", "digit"])


def test_values_are_numbered_in_their_order(dataset):
    assert dataset.sizes == (4, 7)
    np.testing.assert_array_equal(np.bincount(dataset.factors[:, 0]), [10, 90, 200, 100])
    np.testing.assert_array_equal(dataset.factors[:, 1], np.arange(400) % 7)


def test_codes_are_looked_up_by_row(dataset):
    rows = np.array([[3, 5, 3], [0, 399, 1]])
    np.testing.assert_array_equal(dataset.codes(rows), rows[..., None])


def test_draws_are_uniform(dataset):
    rows = dataset.sample(NUM, np.random.default_rng(0))
    share = np.bincount(dataset.factors[rows, 0]) / NUM
    sigma = np.sqrt(0.25 / NUM)
    np.testing.assert_allclose(share, [0.025, 0.225, 0.5, 0.25], atol=4 * sigma)


def test_draws_that_share_a_factor(dataset):
    rng = np.random.default_rng(0)
    values = rng.integers(4, size=(NUM, 2))
    rows = dataset.sample_given_factor(0, values, rng)
    np.testing.assert_array_equal(dataset.factors[rows, 0], values)
    seconds = dataset.factors[rows[values == 2], 1]  # the other factor stays free
    share = np.bincount(seconds) / len(seconds)
    np.testing.assert_allclose(share, 1 / 7, atol=4 * np.sqrt(1 / 7 / len(seconds)) + 1 / 200)
    assert set(rows[values == 0]) == set(range(10))


@pytest.mark.parametrize(
    ("codes", "factors", "sentence"),
    [
        (np.zeros(5), np.eye(5), "codes expects an array of shape"),
        (np.zeros((5, 1)), np.arange(5), "factors expects an array of shape"),
        (np.zeros((5, 1)), np.eye(4), "5 rows of codes and 4 of factors"),
        (np.zeros((5, 1)), np.ones((5, 2)), "factor 0 with the one value 1.0"),
        (np.zeros((200, 1)), np.arange(400.0).reshape(200, 2), "factor 0 with 200 values in 200"),
        (np.array([[0.0], [np.nan]]), np.eye(2), "got nan in row 1 .1 such rows."),
        (np.array([[np.inf], [0.0]]), np.eye(2), "got inf in row 0"),
    ],
)
def test_what_is_rejected(codes, factors, sentence):
    with pytest.raises(UserError, match=sentence):
        FactorDataset.of(codes, factors)


def test_whole_numbers_are_codes_too():
    assert require_codes([[1, 2], [3, 4]]).dtype == np.float64


def test_split_is_a_partition_in_random_order():
    train, test = split_train_test(300, None, np.random.default_rng(0))
    assert (len(train), len(test)) == (200, 100)
    assert sorted([*train, *test]) == list(range(300))
    assert not np.array_equal(train, np.sort(train))
    with pytest.raises(UserError, match=r"below 300 \(images\), got 300"):
        split_train_test(300, 300, np.random.default_rng(0))
