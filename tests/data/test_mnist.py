"""MNIST and Fashion-MNIST: the IDX files, the splits, and what happens without them."""

import os
import struct
from pathlib import Path

import pytest
import torch
import torchvision

from vaelab.data import MNIST, FashionMNIST
from vaelab.errors import UserError

SETS = [(MNIST, "MNIST"), (FashionMNIST, "FashionMNIST")]


def write_set(root, name, num_train=60, num_test=20):
    """A small set of random images, in the layout of the real ones."""
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    draw = torch.Generator().manual_seed(0)
    for part, num in (("train", num_train), ("t10k", num_test)):
        pixels = torch.randint(256, (num * 28 * 28,), generator=draw).tolist()
        header = struct.pack(">4B3i", 0, 0, 8, 3, num, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + bytes(pixels))
        header = struct.pack(">4Bi", 0, 0, 8, 1, num)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            header + bytes(i % 10 for i in range(num))
        )
    return folder


@pytest.mark.parametrize(("cls", "name"), SETS)
def test_reading_agrees_with_torchvision(tmp_path, cls, name):
    write_set(tmp_path, name)
    splits = cls(tmp_path, num_val=10).load()
    for train, subset in ((True, splits.val), (False, splits.test)):
        twin = getattr(torchvision.datasets, name)(tmp_path, train=train)
        index = torch.arange(20) if subset.index is None else subset.index
        assert torch.equal(subset.take(torch.arange(len(subset)))[:, 0] * 255, twin.data[index])
        assert torch.equal(subset.labels, twin.targets[index])
    assert splits.image_shape == (1, 28, 28)
    assert splits.class_names == cls.class_names


def test_validation_comes_off_the_training_part(tmp_path):
    write_set(tmp_path, "MNIST")
    splits = MNIST(tmp_path, num_val=10).load()
    train, val = (set(s.index.tolist()) for s in (splits.train, splits.val))
    assert (len(train), len(val)) == (50, 10)
    assert train | val == set(range(60))
    assert splits.val.images is splits.train.images is not splits.test.images
    again, other = (MNIST(tmp_path, 10, split_seed=seed).load() for seed in (0, 1))
    assert torch.equal(again.val.index, splits.val.index)
    assert set(other.val.index.tolist()) != val
    assert again.checksum == other.checksum != ""


def test_classes_are_named_as_torchvision_names_them():
    assert FashionMNIST.class_names == tuple(torchvision.datasets.FashionMNIST.classes)
    assert MNIST.class_names is None  # the digits themselves


@pytest.mark.parametrize(("cls", "name"), SETS)
def test_no_files_and_no_network(tmp_path, monkeypatch, cls, name):
    mirror = "http://127.0.0.1:9/"
    monkeypatch.setattr(getattr(torchvision.datasets, name), "mirrors", [mirror])
    with pytest.raises(UserError) as caught:
        cls(tmp_path).load()
    for part in (f"{name}/raw or a network", str(tmp_path), "VAELAB_DATA_DIR", "t10k-labels-idx1"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], r"expects 47056 bytes for \(60, 28, 28\), got 47055 bytes"),
        (lambda content: content + b"0", "got 47057 bytes"),
        (lambda content: b"\x1f\x8b" + content, r"\(00 00 08 \.\.\), got 1f 8b 00 00"),
        (lambda content: content[:9], "damaged; delete it and run again"),
        (lambda content: b"", "got nothing"),
    ],
)
def test_damaged_files_are_named(tmp_path, change, message):
    path = write_set(tmp_path, "MNIST") / "train-images-idx3-ubyte"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=message):
        MNIST(tmp_path, num_val=10).load()


def test_parts_that_do_not_fit_are_named(tmp_path):
    folder = write_set(tmp_path, "MNIST")
    (folder / "t10k-labels-idx1-ubyte").replace(folder / "train-labels-idx1-ubyte")
    (folder / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">4Bi", 0, 0, 8, 1, 0))
    with pytest.raises(UserError, match=r"as many train images .*, got \(60, 28, 28\) and \(20,\)"):
        MNIST(tmp_path, num_val=10).load()


def test_too_many_for_validation(tmp_path):
    write_set(tmp_path, "MNIST")
    with pytest.raises(UserError, match=r"^num_val expects to take 1 to 59 of 60 images"):
        MNIST(tmp_path).load()


@pytest.mark.parametrize(
    ("cls", "name", "mean"), [(MNIST, "MNIST", 0.1307), (FashionMNIST, "FashionMNIST", 0.2860)]
)
def test_real_sets_have_the_published_mean(cls, name, mean):
    root = Path(os.environ.get("VAELAB_DATA_DIR", ""))
    if "VAELAB_DATA_DIR" not in os.environ or not (root / name).exists():
        pytest.skip(f"set VAELAB_DATA_DIR to a folder with {name} to test the real set")
    splits = cls(root).load()
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [50_000, 10_000, 10_000]
    assert abs(splits.train.images.storage.double().mean() / 255 - mean) < 1e-4
