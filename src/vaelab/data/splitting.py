"""Seeded splits: which images are for training, validation and test."""

import torch
from torch import Tensor

from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import require, require_range


def split_off(index: Tensor, num: int, seed: int, name: str) -> tuple[Tensor, Tensor]:
    """Split `num` random entries off, the same ones for the same seed.

    Args:
        index: (N,) what to split.
        num: how many to take, from 1 to N - 1.
        seed: of the permutation, which has its own generator.
        name: of the argument that sets `num`, for the error message.

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
    order = index[torch.randperm(len(index), generator=torch.Generator().manual_seed(seed))]
    return order[num:], order[:num]


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
    labels: Tensor | None,
    *,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    checksum: str,
    class_names: tuple[str, ...] | None = None,
) -> Splits:
    """Three disjoint parts that together are all of the images, none empty.

    Args:
        images: N of them, at least 3.
        labels: (N,) int64 or None.
        val_fraction: of N, in (0, 1), rounded to at least one image.
        test_fraction: of N, in [0, 1), rounded to at least one image; 0 for no test part.
        seed: of the permutation; the test part doesn't depend on val_fraction.
        checksum: of the images.
        class_names: of the labels.
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
        return Subset(images, index, None if labels is None else labels[index])

    test_subset = None if test is None else subset(test)
    return Splits(
        subset(train), subset(val), test_subset, checksum=checksum, class_names=class_names
    )
