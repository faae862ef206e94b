"""Seeded splits: which images are for training, validation and test."""

import torch
from torch import Tensor

from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import require


def carve(index: Tensor, num: int, seed: int, option: str) -> tuple[Tensor, Tensor]:
    """Split `num` random entries off, the same ones for the same seed.

    Args:
        index: (N,) what to split.
        num: how many to take, from 1 to N - 1.
        seed: of the permutation, which is drawn by a generator of its own.
        option: the option that sets `num`, for the error message.

    Returns:
        The rest (N - num,) and the taken (num,).
    """
    require(
        1 <= num < len(index),
        f"Expected {option} to take 1 to {len(index) - 1} of {len(index)} images but got {num}. "
        f"Set {option} so that both parts have images.",
    )
    order = index[torch.randperm(len(index), generator=torch.Generator().manual_seed(seed))]
    return order[num:], order[:num]


def split_fractions(
    images: Images,
    labels: Tensor | None,
    *,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    checksum: str,
) -> Splits:
    """Three disjoint parts that together are all of the images, none empty.

    Args:
        images: N of them, at least 3.
        labels: (N,) int64 or None.
        val_fraction: of N, in (0, 1), rounded to at least one image.
        test_fraction: of N, in [0, 1), rounded to at least one image; 0 for no test part.
        seed: of the permutation; the test part doesn't depend on val_fraction.
        checksum: passed on.
    """
    num = len(images)
    require(
        num >= 3,
        f"Expected at least 3 images, one each for training, validation and test, but got {num}. "
        "Give more images.",
    )
    require(
        val_fraction > 0 and test_fraction >= 0 and val_fraction + test_fraction < 1,
        f"Expected positive val_fraction and test_fraction with a sum below 1 but got "
        f"{val_fraction} and {test_fraction}. Lower one (test_fraction=0 holds nothing out).",
    )
    train, test = torch.arange(num), None
    if test_fraction > 0:
        train, test = carve(train, max(1, round(test_fraction * num)), seed, "data.test_fraction")
    train, val = carve(train, max(1, round(val_fraction * num)), seed, "data.val_fraction")

    def subset(index: Tensor) -> Subset:
        return Subset(images, index, None if labels is None else labels[index])

    test_subset = None if test is None else subset(test)
    return Splits(subset(train), subset(val), test_subset, checksum=checksum)
