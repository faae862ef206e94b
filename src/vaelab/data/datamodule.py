"""The one LightningDataModule: any data set, in memory, on the device, no worker processes."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor

from vaelab.data.batches import BatchSampler, shard
from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import UserError, require, require_choice, require_range
from vaelab.seeding import generator

PIXELS = ("greyscale", "dynamic", "static")


class DataSet(Protocol):
    """What `data=` chooses: anything with a `load`."""

    def load(self) -> Splits: ...


class ImageDataModule(pl.LightningDataModule):
    """Serves batches of a data set as pure functions of the step.

    Pixel treatment:
        greyscale: values as stored, in [0, 1];
        dynamic: x ~ Bernoulli(grey value), drawn again at every step;
        static: drawn once, with the seed.
    Both of the last two binarise validation and test images once with a fixed seed, so that every
    run with every seed is evaluated on the same images. Black and white images are the same under
    all three.

    Args:
        dataset: what to load.
        batch_size: images in the global batch, that of all processes together.
        eval_batch_size: images in one evaluation batch.
        pixels: one of the above.
        replacement: whether training draws with replacement.
        seed: of the order of training and of binarisation in training.
        num_steps: steps of the whole run.

    Raises:
        UserError: a number or a pixel treatment that makes no sense.
    """

    def __init__(
        self,
        dataset: DataSet,
        batch_size: int = 64,
        eval_batch_size: int = 256,
        pixels: str = "greyscale",
        replacement: bool = False,
        seed: int = 0,
        num_steps: int = 1,
    ):
        super().__init__()
        require_choice("pixels", pixels, PIXELS)
        for name, value, least, usual in (
            ("batch_size", batch_size, 1, 64),
            ("eval_batch_size", eval_batch_size, 1, 256),
            ("num_steps", num_steps, 0, 100_000),
        ):
            require_range(name, value, at_least=least, integer=True, example=usual)
        self.dataset, self.pixels, self.seed, self.num_steps = dataset, pixels, seed, num_steps
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.replacement = replacement
        self._splits: Splits | None = None

    @property
    def splits(self) -> Splits:
        """The data, loaded at the first use."""
        if self._splits is None:
            self._splits = self._binarise_splits(self.dataset.load())
        return self._splits

    @cached_property
    def sampler(self) -> BatchSampler:
        """step -> positions of the images of its batch."""
        return BatchSampler(
            self.num_train, self.batch_size, self.seed, replacement=self.replacement
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.splits.image_shape

    @property
    def num_train(self) -> int:
        """Number of training images."""
        return len(self.splits.train)

    def setup(self, stage: str | None = None) -> None:
        """Load the images onto the device of the trainer."""
        trainer = self.trainer
        world_size = trainer.world_size if trainer else 1
        require(
            self.batch_size % world_size == 0,
            f"batch_size expects a multiple of the number of processes, which share it, got "
            f"{self.batch_size} images for {world_size} processes; use a multiple.",
        )
        if trainer is None:
            return
        for name, part in (("val", self.splits.val), ("test", self.splits.test)):
            num_batches = 0 if part is None else -(-len(part) // self.eval_batch_size)
            require(
                part is None or num_batches >= world_size,
                f"eval_batch_size expects at least one batch of {name} images per process, got "
                f"{num_batches} for {world_size} processes; lower it.",
            )
        self._splits = self.splits.to(trainer.strategy.root_device)

    def train_batch(self, step: int, rank: int = 0, world_size: int = 1) -> Tensor:
        """This process's images of the global batch at `step`: (B / world_size, C, H, W)."""
        train = self.splits.train
        device = train.images.storage.device
        positions = self.sampler(step).to(device, non_blocking=True)
        if self.pixels != "dynamic" or train.images.packed:  # bits are black and white already
            return train.take(shard(positions, rank, world_size))
        # The noise is drawn for the global batch, so the number of processes changes nothing.
        grey = train.take(positions)
        noise = torch.rand(
            grey.shape,
            generator=generator("binarise", self.seed, step, device=device),
            device=device,
        )
        return shard((noise < grey).float(), rank, world_size)

    def train_dataloader(self) -> "TrainBatches":
        """Batches from the trainer's step to the end of the run."""
        return TrainBatches(self)

    def val_dataloader(self) -> "EvalBatches":
        """The validation set, in order."""
        return EvalBatches(self, self.splits.val)

    def test_dataloader(self) -> "EvalBatches":
        """The test set, in order."""
        if self.splits.test is None:
            raise UserError(
                "test_dataloader expects data with a test set, got a protocol that trains on all "
                "of it; use val_dataloader, or another split."
            )
        return EvalBatches(self, self.splits.test)

    def _binarise_splits(self, splits: Splits) -> Splits:
        if self.pixels == "greyscale" or splits.train.images.packed:
            return splits
        train = splits.train
        if self.pixels == "static":
            train = _binarise(train, "train", self.seed)
        if splits.factors is not None:  # which count all images, and metrics look at all of them
            images = _binarise(Subset(splits.val.images), "all", 0).images
            test = None if splits.test is None else replace(splits.test, images=images)
            return replace(splits, train=train, val=replace(splits.val, images=images), test=test)
        test = None if splits.test is None else _binarise(splits.test, "test", 0)
        return replace(splits, train=train, val=_binarise(splits.val, "val", 0), test=test)


class TrainBatches:
    """Batches (B, C, H, W) of this process, starting at the trainer's current step."""

    def __init__(self, data: ImageDataModule):
        self.data = data

    def __len__(self) -> int:
        return self.data.num_steps

    def __iter__(self) -> Iterator[Tensor]:
        trainer = self.data.trainer
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        for step in range(trainer.global_step if trainer else 0, self.data.num_steps):
            yield self.data.train_batch(step, rank, world_size)

    # Lightning regards a loader with these two as resumable; the step is its only state.
    def state_dict(self) -> dict:
        return {}

    def load_state_dict(self, state: dict) -> None:
        pass


class EvalBatches:
    """Evaluation batches (B, C, H, W) of this process, every image once.

    Process r of R has the batches r, r + R, r + 2R, ... of the data set.
    """

    def __init__(self, data: ImageDataModule, subset: Subset):
        self.data, self.subset = data, subset

    def __len__(self) -> int:
        trainer = self.data.trainer
        total = -(-len(self.subset) // self.data.eval_batch_size)
        return len(range(trainer.global_rank, total, trainer.world_size)) if trainer else total

    def __iter__(self) -> Iterator[Tensor]:
        trainer = self.data.trainer
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        positions = torch.arange(len(self.subset), device=self.subset.images.storage.device)
        batches = positions.split(self.data.eval_batch_size)
        for number in range(rank, len(batches), world_size):
            yield self.subset.take(batches[number])


def _binarise(subset: Subset, name: str, seed: int) -> Subset:
    """A copy of the subset with pixels drawn once: x ~ Bernoulli(grey value)."""
    draw = generator("binarise", name, seed)
    rows = []
    for positions in torch.arange(len(subset)).split(1000):
        grey = subset.take(positions).flatten(1)
        rows.append((torch.rand(grey.shape, generator=draw) < grey).mul(255).to(torch.uint8))
    return Subset(Images(torch.cat(rows), subset.images.shape), None, subset.labels)
