"""Class labels: their numbers from 0, and which images count as labelled."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.images import Splits, Subset
from vaelab.errors import require, require_range
from vaelab.seeding import generator


def number_labels(column: NDArray) -> tuple[Tensor, tuple[str, ...] | None]:
    """Classes (N,) as numbers from 0 in their sorted order, and their names.

    There are no names where the classes are the numbers 0 to C - 1.

    Args:
        column: integers of at least 0, or strings.

    Raises:
        UserError: floats, or negative integers.
    """
    require(
        column.dtype.kind in "biuU" and (column.dtype.kind in "bU" or column.min() >= 0),
        f"labels expects a class per image, an integer of at least 0 or a name, got "
        f"{column.min() if column.dtype.kind == 'i' else column.dtype}; number the classes from "
        "0, or name them.",
    )
    classes, numbers = np.unique(column, return_inverse=True)
    numbered = column.dtype.kind != "U" and np.array_equal(classes, np.arange(len(classes)))
    names = None if numbered else tuple(map(str, classes.tolist()))
    return torch.from_numpy(numbers).long(), names


def choose_labelled(labels: Tensor, num: int, seed: int, num_classes: int) -> Tensor:
    """Choose `num` images to count as labelled, equally many of each class.

    The seed puts the images of each class in an order, and the classes; then the classes take
    turns. So each class has num // num_classes images or one more, and what is chosen for a
    smaller `num` is part of what is chosen for a larger one.

    Args:
        labels: (N,) int64, from 0 to num_classes - 1.
        num: how many to choose, at least num_classes.
        seed: of the choice, which has its own generator.
        num_classes: C.

    Returns:
        (num,) int64, sorted positions in `labels`.

    Raises:
        UserError: fewer than one image per class, labels out of range, or a class with too few.
    """
    require_range(
        "num", num, at_least=num_classes, integer=True, unit="labelled images", example=100
    )
    own = labels.cpu().long()
    outside = own[(own < 0) | (own >= num_classes)]
    require(
        len(outside) == 0,
        f"labels expects classes from 0 to {num_classes - 1}, got {outside[:1].tolist()}; number "
        "the classes from 0.",
    )
    random = generator("labelled", seed)
    turn = torch.randperm(num_classes, generator=random)
    # Image p of class c, both in the seeded order, is number p * C + turn[c] to be chosen.
    place = torch.empty_like(own)
    sizes = own.bincount(minlength=num_classes)
    for c in range(num_classes):
        members = (own == c).nonzero().flatten()
        place[members] = torch.randperm(len(members), generator=random) * num_classes + turn[c]
    require(
        int(sizes.min()) > 0,
        f"labels expects images of each of {num_classes} classes, got none of class "
        f"{int(sizes.argmin())}; add some, or number the classes that there are from 0.",
    )
    limits = sizes * num_classes + turn
    smallest = int(limits.argmin())
    require(
        num <= int(limits[smallest]),
        f"num expects at most {limits[smallest]} with equally many of each class, got {num} where "
        f"class {smallest} has {sizes[smallest]} of {len(own)} images; lower it or add images of "
        "that class.",
    )
    return (place < num).nonzero().flatten().to(labels.device)


@dataclass(frozen=True)
class Labels:
    """How many labels of training images are known, and how often they are shown.

    Args:
        num: how many, as many per class (`choose_labelled`); None for all.
        seed: of which, apart from the seed of training.
        per_batch: labelled images in each batch of an objective that learns from unlabelled ones,
            too; None for their share of the training images, at least one.

    Raises:
        UserError: a number that makes no sense.
    """

    num: int | None = None
    seed: int = 0
    per_batch: int | None = None

    def __post_init__(self) -> None:
        require_range("seed", self.seed, integer=True, example=0)
        for name, value in (("num", self.num), ("per_batch", self.per_batch)):
            if value is not None:
                require_range(
                    name, value, at_least=1, integer=True, unit="labelled images", example=100
                )

    def choose(self, splits: Splits, num_classes: int, *, semi_supervised: bool) -> Splits:
        """The splits with the labels that training knows.

        Semi-supervised, training keeps the other images without their labels; else it has the
        labelled ones alone.

        Raises:
            UserError: a class has too few images.
        """
        train = splits.train
        if self.num is None or self.num == len(train):
            return splits
        assert train.labels is not None
        chosen = choose_labelled(train.labels, self.num, self.seed, num_classes)
        if semi_supervised:
            return replace(splits, labelled=chosen)
        index = chosen if train.index is None else train.index[chosen]
        return replace(splits, train=Subset(train.images, index, train.labels[chosen]))

    def num_in_batch(self, batch_size: int, num_train: int) -> int:
        """Labelled images in a batch.

        Raises:
            UserError: per_batch leaves no place for unlabelled ones.
        """
        assert self.num is not None
        num = self.per_batch or max(1, round(batch_size * self.num / num_train))
        require_range(
            "per_batch", num, below=batch_size, unit="labelled images", example=batch_size // 2
        )
        return num
