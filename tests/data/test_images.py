"""Storage of images: bytes, bits and floats give the same images."""

import numpy as np
import pytest
import torch

from vaelab.data import Images, Splits, Subset

BITS = np.random.default_rng(0).random((9, 4 * 6)) < 0.5


def storages():
    yield Images(torch.from_numpy(np.packbits(BITS, axis=1)), (1, 4, 6), packed=True)
    yield Images(torch.from_numpy(BITS * np.uint8(255)), (1, 4, 6))
    yield Images(torch.from_numpy(BITS.astype(np.float32)), (1, 4, 6))


@pytest.mark.parametrize("images", list(storages()), ids=["bits", "bytes", "floats"])
def test_every_storage_gives_the_same_images(images):
    index = torch.tensor([3, 0, 3, 8])
    x = images.take(index)
    assert x.dtype == torch.float32
    assert torch.equal(x, torch.from_numpy(BITS[index]).float().view(4, 1, 4, 6))
    subset = Subset(images, torch.tensor([8, 3]))
    assert torch.equal(subset.take(torch.tensor([1])), x[:1])
    assert (len(images), len(subset), len(Subset(images))) == (9, 2, 9)


@pytest.mark.parametrize(
    ("storage", "packed"),
    [
        (torch.zeros(2, 24, dtype=torch.uint8), True),
        (torch.zeros(2, 3, dtype=torch.uint8), False),
        (torch.zeros(2, 3), True),
        (torch.zeros(2, 24, dtype=torch.int64), False),
    ],
)
def test_storage_that_does_not_fit_the_shape_is_rejected(storage, packed):
    with pytest.raises(ValueError, match=r"^storage expects .*, got "):
        Images(storage, (1, 4, 6), packed=packed)


def labelled(*labels):
    images = Images(torch.zeros(3, 24, dtype=torch.uint8), (1, 4, 6))
    return [Subset(images, torch.arange(3), y if y is None else torch.tensor(y)) for y in labels]


def test_classes_are_counted_over_all_parts():
    assert Splits(*labelled([0, 1, 0], [4, 0, 0], [2, 2, 2])).num_classes == 5
    assert Splits(*labelled([0, 1, 0], [1, 0, 0])).num_classes == 2
    assert Splits(*labelled(None, None, None)).num_classes == 0
    assert Splits(*labelled([0] * 3, [0] * 3), class_names=("a", "b")).num_classes == 2


def test_labels_move_with_their_images():
    device = torch.device("meta")
    splits = Splits(*labelled([0, 1, 0], [4, 0, 0], [2, 2, 2])).to(device)
    for part in (splits.train, splits.val, splits.test):
        tensors = (part.images.storage, part.index, part.labels)
        assert [tensor.device for tensor in tensors] == [device] * 3
    assert Splits(*labelled(None, None)).to(device).val.labels is None
