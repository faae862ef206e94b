"""What a conditional model is told of an image: its label, or the values of some factors."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaelab.data.classes import Classes
from vaelab.data.factors import FactorSpace
from vaelab.data.images import Splits, Subset
from vaelab.data.labels import Labels
from vaelab.errors import UserError, require

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Condition:
    """The class y of an image: its label, or a combination of the values of chosen factors.

    Args:
        factors: names of the factors; None for the label.
        encoder: whether q(z|x, y) depends on y, or is q(z|x).
        decoder: whether p(x|y, z) does, or is p(x|z).
        classifier: whether the model has a q(y|x), for objectives that learn it.

    Raises:
        UserError: an empty list of factors.
    """

    factors: Sequence[str] | None = None
    encoder: bool = True
    decoder: bool = True
    classifier: bool = False

    def __post_init__(self) -> None:
        require(
            self.factors is None or len(self.factors) > 0,
            "factors expects names of factors, got an empty list; try [shape], or null for labels.",
        )

    def classes(self, splits: Splits) -> FactorSpace:
        """The classes of data: one factor called label, or the chosen factors.

        Raises:
            UserError: the data has no labels, or not these factors.
        """
        if self.factors is None:
            require(
                splits.train.labels is not None,
                "a condition on the label expects data with labels, got data without; use data "
                "such as mnist, sub-folders of an image_folder, or labels=FILE of the data.",
            )
            return FactorSpace(("label",), (splits.num_classes,))
        space = splits.factors
        if space is None:
            raise UserError(
                f"factors expects data with factors, got data without for {list(self.factors)}; "
                "use data such as dsprites, or factors=FILE of the data."
            )
        wrong = [name for name in self.factors if name not in space.names]
        require(
            not wrong and len(set(self.factors)) == len(self.factors),
            f"factors expects different ones of {', '.join(space.names)}, got "
            f"{list(self.factors)}; correct the names.",
        )
        positions = [space.position(name) for name in self.factors]
        return FactorSpace(tuple(self.factors), tuple(space.sizes[f] for f in positions))

    def label(self, splits: Splits) -> Splits:
        """The same splits, whose labels are the classes, also of all images of a factor space."""
        classes, space = self.classes(splits), splits.factors
        if self.factors is None:
            splits = replace(splits, classes=Classes(classes, splits.class_names))
            return splits if space is None else _spread_labels(splits)
        assert space is not None
        numbers = torch.arange(len(splits.train.images))
        of_images = sum(
            space.values(numbers, name) * stride
            for name, stride in zip(classes.names, classes.strides, strict=True)
        )
        assert isinstance(of_images, Tensor)

        def subset(part: Subset) -> Subset:
            return replace(part, labels=of_images if part.index is None else of_images[part.index])

        return replace(
            splits,
            train=subset(splits.train),
            val=subset(splits.val),
            test=None if splits.test is None else subset(splits.test),
            image_labels=of_images,
            class_names=None,
            classes=Classes(classes),
        )


def _spread_labels(splits: Splits) -> Splits:
    """The splits with `image_labels`, those of all images of the storage, -1 where in no part."""
    of_images = torch.full((len(splits.train.images),), -1)
    for part in (splits.train, splits.val, splits.test):
        if part is not None and part.labels is not None:
            of_images[slice(None) if part.index is None else part.index] = part.labels
    return replace(splits, image_labels=of_images)


def label_splits(
    splits: Splits, condition: Condition, labels: Labels, *, semi_supervised: bool
) -> Splits:
    """The splits with classes as labels, and with those labels that training knows.

    Raises:
        UserError: the data has no such classes, or too few images of one.
    """
    with _path("condition", "factors"):
        classes = condition.classes(splits)
    labelled = condition.label(splits)
    assert labelled.train.labels is not None
    missing = set(range(len(classes))) - set(labelled.train.labels.unique().tolist())
    if missing:
        first = ", ".join(map(str, sorted(missing)[:10]))
        more = f" and {len(missing) - 10:,} others" if len(missing) > 10 else ""
        log.warning("no training images of the classes %s%s", first, more)
    with _path("labels", "num"):
        return labels.choose(labelled, len(classes), semi_supervised=semi_supervised)


@contextmanager
def _path(owner: str, argument: str) -> Iterator[None]:
    """Within this an error about an argument names its path in the config."""
    try:
        yield
    except UserError as error:
        if not str(error).startswith(f"{argument} "):
            raise
        raise UserError(f"{owner}.{error}") from error
