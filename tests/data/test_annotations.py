"""Factors and labels of a user's own images reach the images they were given for."""

import numpy as np
import pytest
import torch
from PIL import Image

from vaelab.data import Array, ImageFolder
from vaelab.errors import UserError

NUM = 30
SHAPES = np.array(["square", "heart", "ellipse"])
CELLS = np.arange(NUM) % 3, np.arange(NUM) // 3 % 5, np.arange(NUM)  # shape, scale, image


@pytest.fixture
def array(tmp_path):
    """Options -> what an array of 30 images loads to; the pixels of image i are i * 8."""
    np.save(tmp_path / "x.npy", np.repeat(np.arange(NUM) * 8, 16).reshape(NUM, 4, 4).astype("u1"))

    def load(**options):
        return Array(tmp_path / "x.npy", **options).load()

    return load


@pytest.fixture
def folder(tmp_path):
    """The same images as files in sub-folders 0 and 1, the paths in the order of the images."""
    for i in range(NUM):
        path = tmp_path / "images" / f"{i // 20}" / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), i * 8, np.uint8)).save(path)

    def load(**options):
        return ImageFolder(tmp_path / "images", **options).load()

    return load


def number_images(subset):
    """Which of the 30 images those of a subset are, by their pixels: (M,)."""
    return (subset.take(torch.arange(len(subset)))[:, 0, 0, 0] * 255 / 8).round().long()


def parts(splits):
    return splits.train, splits.val, splits.test


def test_factors_stay_with_their_images(array, tmp_path):
    np.save(tmp_path / "f.npy", np.stack(CELLS[:2], 1))
    splits = array(factors=tmp_path / "f.npy", factor_names=["shape", "scale"])
    assert (splits.factors.names, splits.factors.sizes) == (("shape", "scale"), (3, 5))
    assert splits.train.labels is splits.class_names is None
    for subset in parts(splits):
        values = splits.factors.unravel(subset.index)
        image = number_images(subset)
        assert torch.equal(values, torch.stack([image % 3, image // 3 % 5], 1))


def test_names_of_factors_come_from_files_that_have_them(array, tmp_path):
    np.save(tmp_path / "f.npy", np.stack(CELLS[:2], 1))
    assert array(factors=tmp_path / "f.npy").factors.names == ("factor 0", "factor 1")
    np.savez(tmp_path / "f.npz", shape=SHAPES[CELLS[0]], scale=CELLS[1] / 8)
    factors = array(factors=tmp_path / "f.npz").factors
    assert factors.names == ("shape", "scale")
    assert factors.value_names("shape") == ("ellipse", "heart", "square")
    assert factors.value_names("scale") == ("0.0", "0.125", "0.25", "0.375", "0.5")
    assert torch.equal(factors.values(torch.arange(3), "shape"), torch.tensor([2, 1, 0]))
    with pytest.raises(UserError, match=r"^factor_names expects factors in a .npy .*f\.npz; "):
        array(factors=tmp_path / "f.npz", factor_names=["a", "b"])
    for names in (["a"], ["a", "a"], ["a", ""]):
        with pytest.raises(UserError, match=r"^factor_names expects a distinct name .* 2"):
            array(factors=tmp_path / "f.npy", factor_names=names)


def test_files_name_the_rows_of_a_folder(folder, tmp_path):
    order = np.random.default_rng(0).permutation(NUM)
    lines = [f"{i // 20}/{i:02}.png,{SHAPES[i % 3]},{i // 3 % 5}" for i in order]
    (tmp_path / "f.csv").write_text("\n".join(["file,shape,scale", *lines]))
    splits = folder(factors=tmp_path / "f.csv")
    for subset in parts(splits):
        image = number_images(subset)
        assert torch.equal(splits.factors.values(subset.index, "scale"), image // 3 % 5)
        assert torch.equal(splits.factors.values(subset.index, "shape"), 2 - image % 3)
        assert torch.equal(subset.labels, image // 20)  # the sub-folders
    assert splits.class_names == ("0", "1")


@pytest.mark.parametrize(
    ("classes", "names", "num"),
    [
        (np.arange(NUM) % 3, None, 3),
        (np.arange(NUM) % 3 + 4, ("4", "5", "6"), 3),
        (SHAPES[np.arange(NUM) % 3], ("ellipse", "heart", "square"), 3),
        (np.where(np.arange(NUM) % 3, 10, 9), ("9", "10"), 2),
    ],
)
@pytest.mark.parametrize("suffix", ["npy", "csv", "txt"])
def test_labels_replace_sub_folders(folder, array, tmp_path, classes, names, num, suffix):
    path = tmp_path / f"y.{suffix}"
    if suffix == "npy":
        np.save(path, classes)
    else:
        header = ["class"] if suffix == "csv" else []
        path.write_text("\n".join([*header, *map(str, classes)]) + "\n")
    for load in (folder, array):
        splits = load(labels=path)
        assert (splits.class_names, splits.num_classes, splits.factors) == (names, num, None)
        numbers = np.unique(classes, return_inverse=True)[1]
        for subset in parts(splits):
            assert subset.labels.dtype == torch.int64
            assert subset.labels.tolist() == numbers[number_images(subset)].tolist()


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (np.arange(NUM) - 1, "^labels expects a class per image, .*, got -1; number"),
        (np.arange(NUM) / 2, "^labels expects a class per image, .*, got float64; number"),
        (np.zeros((NUM, 2), int), "^labels expects one class per image, got 2 columns in"),
        (np.arange(NUM - 1), "^labels expects one row for each of 30 images, got 29"),
    ],
)
def test_other_labels_are_rejected(array, tmp_path, classes, message):
    np.save(tmp_path / "y.npy", classes)
    with pytest.raises(UserError, match=message):
        array(labels=tmp_path / "y.npy")


def test_the_checksum_covers_what_the_files_say(array, folder, tmp_path):
    np.save(tmp_path / "f.npy", np.stack(CELLS[:2], 1))
    np.save(tmp_path / "other.npy", np.stack(CELLS[:2], 1)[::-1])
    np.save(tmp_path / "y.npy", CELLS[0])
    (tmp_path / "y.txt").write_text("\n".join(SHAPES[CELLS[0]]))
    np.savez(tmp_path / "f.npz", a=CELLS[0], b=CELLS[1])
    factors = {"factors": tmp_path / "f.npy", "factor_names": ["a", "b"]}
    choices = [
        {},
        factors,
        factors | {"factors": tmp_path / "other.npy"},
        factors | {"factor_names": ["a", "c"]},
        {"labels": tmp_path / "y.npy"},
        {"labels": tmp_path / "y.txt"},
        factors | {"labels": tmp_path / "y.npy"},
    ]
    for load in (array, folder):
        checksums = [load(**options).checksum for options in choices]
        assert len(set(checksums)) == len(choices)
        assert load(factors=tmp_path / "f.npz").checksum == checksums[1]  # the same in another file


def test_nothing_is_said_without_files(array, tmp_path):
    splits = array()
    assert (splits.factors, splits.train.labels, splits.num_classes) == (None, None, 0)
    with pytest.raises(UserError, match=r"^factor_names expects factors in a \.npy .*None"):
        array(factor_names=["a"])


def test_settings_of_other_types_are_rejected(array, tmp_path):
    for options in ({"factors": 3}, {"labels": {"a": 1}}, {"factors": [tmp_path]}):
        with pytest.raises(UserError, match=r"^(factors|labels) expects a file, got .*for none"):
            array(**options)
    for names in ("shape", 3, {"a": 1}):
        with pytest.raises(UserError, match=r"^factor_names expects a list of names, got .*; try"):
            array(factor_names=names)
