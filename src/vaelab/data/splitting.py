"""Seeded splits: which images are for training, validation and test."""

import hashlib

import torch
from torch import Tensor

from vaelab.data.annotations import Annotations
from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import require, require_range


def first_copies(images: Images) -> Tensor:
    """For every image the number of the first image with the same pixels: (N,) int64.

    Images are compared by a digest of 128 bits; two seconds for the 737,280 of dSprites.
    """
    rows = images.storage.numpy()
    first: dict[bytes, int] = {}
    numbers = [
        first.setdefault(hashlib.blake2b(row, digest_size=16).digest(), i)
        for i, row in enumerate(rows)
    ]
    return torch.tensor(numbers)


def split_off(
    index: Tensor, num: int, seed: int, name: str, *, copies: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Split `num` random entries off, the same ones for the same seed.

    With `copies`, images with the same pixels stay together: the seed puts the groups in an order,
    and each is taken in turn that still fits into `num`. So the number taken is `num` wherever
    enough images are unique, and every image is as likely to be taken as any other. Where no image
    has a copy the split is the one without `copies`.

    Args:
        index: (N,) what to split.
        num: how many to take, from 1 to N - 1.
        seed: of the permutation, which has its own generator.
        name: of the argument that sets `num`, for the error message.
        copies: `first_copies` of all images, which `index` counts.

    Returns:
        The remaining (N - num,) and the taken (num,).

    Raises:
        UserError: nothing would be taken, or nothing would remain.
    """
    require(
        1 <= num < len(index),
        f"{name} expects to take 1 to {len(index) - 1} of {len(index)} images, got {num}; leave "
        "images for both parts.",
    )
    groups = torch.arange(len(index)) if copies is None else _number_groups(copies[index])
    sizes = torch.bincount(groups)
    require(
        len(sizes) > 1,
        f"{name} expects different images to split, got {len(index)} copies of one; add images.",
    )
    order = torch.randperm(len(sizes), generator=torch.Generator().manual_seed(seed))
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    shuffled = place[groups].argsort(stable=True)
    taken = _take_until(sizes[order].tolist(), num)[place[groups[shuffled]]]
    return index[shuffled[~taken]], index[shuffled[taken]]


def _number_groups(labels: Tensor) -> Tensor:
    """Labels as numbers from 0 in the order of their first appearance: (N,) int64."""
    _, inverse = labels.unique(return_inverse=True)
    positions = torch.arange(len(labels))
    first = positions.new_full((int(inverse.max()) + 1,), len(labels))
    first.scatter_reduce_(0, inverse, positions, "amin")
    return first.argsort().argsort()[inverse]


def _take_until(sizes: list[int], num: int) -> Tensor:
    """Which groups make up `num` images, or come nearest if taken one by one: bool (groups,)."""
    taken, left = torch.zeros(len(sizes), dtype=torch.bool), num
    for i, size in enumerate(sizes):
        if size <= left:
            taken[i], left = True, left - size
        if left == 0:
            return taken
    others = (~taken).nonzero().flatten().tolist()
    smallest = min(others, key=lambda i: sizes[i])
    if (sizes[smallest] - left < left and len(others) > 1) or not taken.any():
        taken[smallest] = True
    return taken


def require_fractions(val_fraction: float, test_fraction: float) -> None:
    """Raise a `UserError` for fractions that leave nothing for validation or training."""
    require_range("val_fraction", val_fraction, above=0, below=1, example=0.1)
    require_range("test_fraction", test_fraction, at_least=0, below=1, example=0.1)
    require(
        val_fraction + test_fraction < 1,
        f"val_fraction + test_fraction expects a sum below 1, got {val_fraction} + "
        f"{test_fraction}; lower one of them.",
    )


def split_by_fractions(
    images: Images,
    annotations: Annotations,
    *,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    checksum: str,
) -> Splits:
    """Three disjoint parts that together are all of the images, none empty.

    Args:
        images: N of them, at least 3.
        annotations: their factors and labels.
        val_fraction: of N, in (0, 1), rounded to at least one image.
        test_fraction: of N, in [0, 1), rounded to at least one image; 0 for no test part.
        seed: of the permutation; the test part doesn't depend on val_fraction.
        checksum: of images and annotations.
    """
    num = len(images)
    require(
        num >= 3,
        f"root expects at least 3 images, one each for training, validation and test, got {num}; "
        "add images.",
    )
    train, test = torch.arange(num), None
    if test_fraction > 0:
        train, test = split_off(train, max(1, round(test_fraction * num)), seed, "test_fraction")
    train, val = split_off(train, max(1, round(val_fraction * num)), seed, "val_fraction")

    def subset(index: Tensor) -> Subset:
        labels = annotations.labels
        return Subset(images, index, None if labels is None else labels[index])

    test_subset = None if test is None else subset(test)
    return Splits(
        subset(train),
        subset(val),
        test_subset,
        annotations.factors,
        checksum,
        annotations.class_names,
    )
