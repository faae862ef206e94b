"""What training sees of a pixel: its grey value, or bits drawn from it."""

from dataclasses import replace

import torch
from torch import Tensor

from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import require
from vaelab.seeding import generator

PIXELS = ("greyscale", "dynamic", "static")


def binarise_splits(splits: Splits, pixels: str, seed: int) -> Splits:
    """The splits with bits where they are drawn once: all of "static", evaluation of "dynamic".

    Evaluation images are drawn with a fixed seed, training images with `seed`.

    Raises:
        UserError: the images are codes, which are no grey values.
    """
    require(
        pixels == "greyscale" or splits.train.images.deviations is None,
        f"pixels expects greyscale for codes, which are no grey values, got {pixels}; use the "
        "likelihood GaussianPerPixel.",
    )
    if pixels == "greyscale" or splits.train.images.packed:
        return splits
    train = splits.train
    if pixels == "static":
        train = _binarise(train, "train", seed)
    if splits.factors is not None:  # which count all images, and metrics look at all of them
        images = _binarise(Subset(splits.val.images), "all", 0).images
        test = None if splits.test is None else replace(splits.test, images=images)
        return replace(splits, train=train, val=replace(splits.val, images=images), test=test)
    test = None if splits.test is None else _binarise(splits.test, "test", 0)
    return replace(splits, train=train, val=_binarise(splits.val, "val", 0), test=test)


def is_drawn_each_step(train: Subset, pixels: str) -> bool:
    """Whether training images are drawn at each step: grey values as bits, or codes."""
    bits = pixels == "dynamic" and not train.images.packed  # packed bits are black and white
    return bits or train.images.deviations is not None


def draw_images(train: Subset, positions: Tensor, seed: int, step: int) -> Tensor:
    """Images drawn at a step: x ~ Bernoulli(grey value), or codes x ~ N(mean, deviation^2)."""
    x, deviations = train.take(positions), train.take_deviations(positions)
    draw = generator("binarise", seed, step, device=x.device)
    if deviations is None:
        return (torch.rand(x.shape, generator=draw, device=x.device) < x).float()
    return x + deviations * torch.randn(x.shape, generator=draw, device=x.device)


def _binarise(subset: Subset, name: str, seed: int) -> Subset:
    """A copy of the subset with pixels drawn once: x ~ Bernoulli(grey value)."""
    draw = generator("binarise", name, seed)
    rows = []
    for positions in torch.arange(len(subset)).split(1000):
        grey = subset.take(positions).flatten(1)
        rows.append((torch.rand(grey.shape, generator=draw) < grey).mul(255).to(torch.uint8))
    return Subset(Images(torch.cat(rows), subset.images.shape), None, subset.labels)
