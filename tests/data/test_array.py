"""Images in NumPy files."""

import numpy as np
import pytest
import torch

from vaelab.data import Array, ImageFolder
from vaelab.errors import UserError

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (10, 3, 6, 8), dtype=np.uint8)


def load(tmp_path, array, **options):
    np.save(tmp_path / "x.npy", array)
    return Array(tmp_path / "x.npy", **options).load()


def all_images(splits):
    return splits.train.images.take(torch.arange(len(splits.train.images))).numpy()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (BYTES, BYTES),
        (BYTES[:, 0], BYTES[:, :1]),
        (BYTES[:, :1], BYTES[:, :1]),
        (BYTES.transpose(0, 2, 3, 1), BYTES),
        (np.asfortranarray(BYTES), BYTES),
    ],
)
def test_layouts(tmp_path, array, expected):
    splits = load(tmp_path, array)
    assert splits.train.images.storage.dtype == torch.uint8
    np.testing.assert_array_equal(all_images(splits), expected / np.float32(255))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_that_are_bytes_are_kept_as_bytes(tmp_path, dtype):
    splits = load(tmp_path, (BYTES / 255).astype(dtype))
    assert splits.train.images.storage.dtype == torch.uint8
    np.testing.assert_array_equal(splits.train.images.storage.reshape(BYTES.shape), BYTES)


def test_other_floats_stay_floats(tmp_path):
    array = RNG.random((5, 4, 4))
    splits = load(tmp_path, array)
    assert splits.train.images.storage.dtype == torch.float32
    np.testing.assert_array_equal(all_images(splits)[:, 0], array.astype(np.float32))


@pytest.mark.parametrize(("width", "packed"), [(8, True), (7, False)])
def test_black_and_white_is_packed_where_it_fits(tmp_path, width, packed):
    array = RNG.random((5, 3, width)) < 0.5
    splits = load(tmp_path, array)
    assert splits.train.images.packed == packed
    np.testing.assert_array_equal(all_images(splits)[:, 0], array)


def test_splits_are_disjoint_seeded_and_never_empty(tmp_path):
    for num in (3, 4, 50):
        splits = load(tmp_path, RNG.integers(0, 256, (num, 2, 2), dtype=np.uint8))
        parts = [s.index.tolist() for s in (splits.train, splits.val, splits.test)]
        assert sorted(i for part in parts for i in part) == list(range(num))
        assert all(parts)
    assert [len(part) for part in parts] == [40, 5, 5]
    options = {"split_seed": 1, "val_fraction": 0.5, "test_fraction": 0}
    other = Array(tmp_path / "x.npy", **options).load()
    assert other.test is None
    assert len(other.val) == 25
    assert other.checksum == splits.checksum


def test_npz_files(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, images=BYTES)
    assert Array(path).load().image_shape == (3, 6, 8)
    np.savez(path, images=BYTES, masks=BYTES[:, 0] > 9)
    assert Array(path, key="masks").load().image_shape == (1, 6, 8)
    for key, hint in ((None, "images"), ("mask", "masks")):
        with pytest.raises(UserError, match=rf"^key .*\(images, masks\), got {key}; .*={hint}"):
            Array(path, key=key).load()


NAN = np.full((5, 4, 4), np.nan, np.float32)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 784), np.uint8), r"^root expects .*, got \(5, 784\) in .*; reshape"),
        (np.zeros((5, 4, 4, 4), np.uint8), r"got \(5, 4, 4, 4\) in .*; reshape"),
        (np.zeros((5, 3, 4, 3), np.uint8), "read in two ways"),
        (np.zeros((5, 4, 4), np.int64), "expects uint8, bool or float pixels, got int64"),
        (
            np.ones((5, 4, 4), np.uint8),
            "got none above 1 in .*; save .* as bool",
        ),
        (np.full((5, 4, 4), 255.0), r"in \[0, 1\], got 0?255.0 to 255.0 in .*; scale"),
        (np.full((5, 4, 4), -0.1), "got -0.1 to -0.1"),
        (NAN, "got nan to nan"),
        (np.array([[["a"]]] * 5), "got <U1"),
        (BYTES[:2], "at least 3 images"),
    ],
)
def test_other_arrays_are_rejected(tmp_path, array, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, array)


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}, {}, {}]), allow_pickle=True)
    np.savez(tmp_path / "x.npz", allow_pickle=True, x=np.array([{}, {}, {}]))
    for name in ("x.npy", "x.npz"):
        with pytest.raises(UserError, match=r"^root expects an array of numbers, got "):
            Array(tmp_path / name).load()


def test_no_file_or_another(tmp_path):
    with pytest.raises(UserError, match=r"^root .*absent\.npy, which is no file; correct"):
        Array(tmp_path / "absent.npy").load()
    with pytest.raises(UserError, match=r"^root expects a \.npy .*, got none; set it"):
        Array(None)
    for content in (b"", b"text", b"PK\x03\x04"):
        (tmp_path / "x.npy").write_bytes(content)
        with pytest.raises(UserError, match=r"^root expects an array of numbers, got "):
            Array(tmp_path / "x.npy").load()


@pytest.mark.parametrize(
    ("val", "test", "message"),
    [
        (0.0, 0.1, "^val_fraction expects a number above 0 and below 1, got 0.0"),
        (0.5, 0.5, r"^val_fraction \+ test_fraction expects a sum below 1, got 0.5 \+ 0.5"),
        (0.1, -0.1, "^test_fraction expects a number of at least 0 and below 1, got -0.1"),
    ],
)
@pytest.mark.parametrize("dataset", [Array, ImageFolder])
def test_fractions_must_leave_something(dataset, val, test, message):
    with pytest.raises(UserError, match=message):
        dataset("mine", val_fraction=val, test_fraction=test)
