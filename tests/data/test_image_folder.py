"""Folders of images."""

import numpy as np
import pytest
import torch
from PIL import Image

from vaelab.data import ImageFolder
from vaelab.errors import UserError


def save(path, size=(8, 6), mode="L", value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = value if mode in "L1" else (value, 0, 255, 9)[: len(mode)]
    Image.new(mode, size, colour).save(path)


def all_images(splits):
    return splits.train.images.take(torch.arange(len(splits.train.images)))


def test_grey_images_in_the_order_of_their_paths(tmp_path):
    for i in range(10):
        save(tmp_path / f"{i}.{'PNG' if i % 2 else 'bmp'}", value=25 * i)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._0.png").write_text("left by macOS")
    splits = ImageFolder(tmp_path, val_fraction=0.2).load()
    assert splits.image_shape == (1, 6, 8)
    assert torch.equal(all_images(splits)[:, 0, 3, 3] * 255, torch.arange(10) * 25.0)
    parts = [s.index.tolist() for s in (splits.train, splits.val, splits.test)]
    assert [len(part) for part in parts] == [7, 2, 1]
    assert sorted(i for part in parts for i in part) == list(range(10))
    assert splits.train.labels is splits.class_names is None


def test_colour_and_labels_from_sub_folders(tmp_path):
    for i, folder in enumerate(["cat", "ant/small", "cat", "bee"]):
        save(tmp_path / folder / f"{i}.png", mode="RGB" if i else "RGBA", value=i)
    splits = ImageFolder(tmp_path).load()
    assert splits.image_shape == (3, 6, 8)
    x = all_images(splits) * 255
    assert x[:, 0, 0, 0].tolist() == [1, 3, 0, 2]  # ant/small, bee, cat, cat
    assert (x[:, 2] == 255).all()
    labels = torch.zeros(4, dtype=torch.long)
    for subset in (splits.train, splits.val, splits.test):
        labels[subset.index] = subset.labels
    assert labels.tolist() == [0, 1, 2, 2]
    assert splits.class_names == ("ant/small", "bee", "cat")


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "bmp", "gif", "webp"])
def test_formats(tmp_path, suffix):
    for i in range(3):
        save(tmp_path / f"{i}.{suffix}", value=100)
    x = all_images(ImageFolder(tmp_path, channels=1).load())
    np.testing.assert_allclose(x * 255, 100, atol=2)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_convert(tmp_path, channels):
    for i, mode in enumerate(["L", "RGB", "1"]):
        save(tmp_path / f"{i}.png", mode=mode, value=1)
    splits = ImageFolder(tmp_path, channels=channels).load()
    assert splits.image_shape == (channels, 6, 8)
    assert all_images(splits)[2].unique().tolist() == [1.0]


def test_mixed_channels_are_named(tmp_path):
    for i, mode in enumerate(["L", "L", "RGB"]):
        save(tmp_path / f"{i}.png", mode=mode)
    with pytest.raises(UserError, match=r"channels .*, 1 as .*, got 3 in .*2\.png; try"):
        ImageFolder(tmp_path).load()


def test_the_first_odd_size_is_named(tmp_path):
    for i in range(6):
        save(tmp_path / f"{i}.png", size=(8, 6) if i < 3 else (9, 6))
    with pytest.raises(UserError, match=r"8 x 6 pixels .*, got 9 x 6 in .*3\.png; resize"):
        ImageFolder(tmp_path).load()


def test_unreadable_images_are_named(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", size=(64, 64))
    content = (tmp_path / "1.png").read_bytes()
    for damaged in (b"", b"no image", content[: len(content) // 2]):
        (tmp_path / "1.png").write_bytes(damaged)
        with pytest.raises(UserError, match=r"^root expects .*, got in .*1\.png: .*; fix the file"):
            ImageFolder(tmp_path).load()


def test_sixteen_bits_are_rejected(tmp_path):
    for i in range(3):
        Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(tmp_path / f"{i}.png")
    with pytest.raises(UserError, match=r"8 bits per channel, got mode I;16"):
        ImageFolder(tmp_path).load()


def test_empty_missing_and_small_folders(tmp_path):
    with pytest.raises(UserError, match=r"^root expects a folder with images .*, got none in "):
        ImageFolder(tmp_path).load()
    with pytest.raises(UserError, match=r"^root .*absent, which is no folder; correct"):
        ImageFolder(tmp_path / "absent").load()
    for i in range(2):
        save(tmp_path / f"{i}.png")
    with pytest.raises(UserError, match="at least 3 images"):
        ImageFolder(tmp_path).load()
    with pytest.raises(UserError, match=r"^channels expects 1 .*, got 4; try 3"):
        ImageFolder(tmp_path, channels=4)


def test_no_folder_is_a_sentence():
    with pytest.raises(UserError, match=r"^root expects a folder .*, got none; set it"):
        ImageFolder(None)
