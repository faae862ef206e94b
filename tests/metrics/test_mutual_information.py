"""Bins, entropy and mutual information against slow ones."""

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from vaelab.errors import UserError
from vaelab.metrics.mutual_information import (
    discretize,
    entropy,
    mutual_information,
    mutual_information_matrix,
)


@pytest.fixture
def columns():
    rng = np.random.default_rng(0)
    a = rng.integers((2, 20, 7), size=(500, 3))
    b = np.stack([a[:, 1] // 3, rng.integers(5, size=500)], axis=1)
    return a, b


def slow(a, b):
    return np.array([[mutual_info_score(x, y) for y in b.T] for x in a.T])


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_mutual_information_is_that_of_sklearn(columns, dtype):
    a, b = (x.astype(dtype) for x in columns)
    np.testing.assert_allclose(mutual_information(a, b), slow(a, b), rtol=0, atol=1e-12)


def test_counts_are_repeated_rows(columns):
    a, b = columns
    counts = np.random.default_rng(1).multinomial(500, np.full(500, 1 / 500))
    rows = np.repeat(np.arange(500), counts)
    np.testing.assert_allclose(mutual_information(a, b, counts), slow(a[rows], b[rows]), atol=1e-12)
    np.testing.assert_allclose(entropy(b, counts), entropy(b[rows]), atol=1e-12)


def test_entropy():
    b = np.array([[0, 0, 5], [1, 0, 5], [2, 0, 5], [3, 1, 5]])
    three_to_one = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    np.testing.assert_allclose(entropy(b), [np.log(4), three_to_one, 0], atol=1e-15)


def test_information_of_a_column_with_itself_is_its_entropy(columns):
    a, _ = columns
    np.testing.assert_allclose(np.diag(mutual_information(a, a)), entropy(a), atol=1e-12)


def test_a_constant_column_has_exactly_no_information(columns):
    a, b = columns
    constant = np.full((500, 1), 3)
    assert (mutual_information(constant, b) == 0).all()
    assert (mutual_information(a, constant) == 0).all()


@pytest.mark.parametrize("num_bins", [2, 20])
def test_bins_are_those_of_a_histogram(num_bins):
    codes = np.random.default_rng(0).standard_normal((1000, 4)) * (1, 1e-6, 1e6, 3) + (0, 5, 0, 0)
    codes[:, 3] = codes[:, 3].round()  # ties, and values on the edges
    for x, binned in zip(codes.T, discretize(codes, num_bins).T, strict=True):
        edges = np.histogram(x, num_bins)[1]
        assert (binned == np.digitize(x, edges[:-1]) - 1).all()
        assert (np.bincount(binned, minlength=num_bins) == np.histogram(x, edges)[0]).all()


def test_the_maximum_is_in_the_last_bin():
    assert discretize(np.arange(5.0)[:, None], 4).ravel().tolist() == [0, 1, 2, 3, 3]


def test_a_latent_that_hardly_varies_is_cut_all_the_same():
    x = np.where(np.arange(40) % 2, np.float32(0.5), np.nextafter(np.float32(0.5), np.float32(1)))
    codes = np.stack([x, np.full(40, np.float32(0.1))], axis=1)
    varying, constant = discretize(codes).T
    assert (len(set(varying)), len(set(constant))) == (2, 1)


def test_the_matrix_bins_codes_and_not_factors():
    factors = np.arange(400)[:, None] % 40
    matrix = mutual_information_matrix(np.concatenate([factors, -factors], 1), factors * 7.5)
    # 40 values in 20 bins: two to a bin, as good as.
    np.testing.assert_allclose(matrix, np.log(20), atol=0.01)
    assert matrix.shape == (2, 1)


@pytest.mark.parametrize(
    ("codes", "num_bins", "sentence"),
    [
        (np.zeros((19, 2)), 20, "at least 20 rows for as many bins, got 19"),
        (np.full((30, 2), np.nan), 20, "expects finite numbers, got nan in row 0"),
        (np.zeros((30, 2)), 1, "num_bins expects an integer of at least 2, got 1"),
        (np.zeros(30), 20, r"array of shape \(N, L\)"),
    ],
)
def test_what_cannot_be_binned(codes, num_bins, sentence):
    with pytest.raises(UserError, match=sentence):
        mutual_information_matrix(codes, np.arange(len(codes))[:, None] % 3, num_bins)
