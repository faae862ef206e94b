"""The one LightningDataModule: any data set, in memory, on the device, no worker processes."""

from collections.abc import Iterator
from functools import cached_property
from typing import Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor

from vaelab.data.batches import Batch, BatchSampler, MixedSampler, shard
from vaelab.data.condition import Condition, label_splits
from vaelab.data.factors import FactorSpace
from vaelab.data.images import Splits, Subset
from vaelab.data.labels import Labels
from vaelab.data.pixels import PIXELS, binarise_splits, draw_images, is_drawn_each_step
from vaelab.errors import UserError, require, require_choice, require_range

NUM_AT_ONCE = 1000  # images that are checked at once


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

    With a condition a batch is a `Batch` of images and their classes. Where only some labels are
    known, training uses only those images; semi-supervised training uses all images, as many
    labelled ones per batch as `Labels` says, and the class of every other image is -1.

    Args:
        dataset: what to load.
        batch_size: images in the global batch, that of all processes together.
        eval_batch_size: images in one evaluation batch.
        pixels: one of the above.
        replacement: whether training draws with replacement.
        seed: of the order of training and of binarisation in training.
        num_steps: steps of the whole run.
        condition: what the class of an image is; None for batches of images alone.
        labels: which labels are known in training; all by default.
        semi_supervised: whether training has the images without a known label as well.

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
        condition: Condition | None = None,
        labels: Labels | None = None,
        semi_supervised: bool = False,
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
        self.condition, self.labels = condition, labels or Labels()
        self.semi_supervised = semi_supervised
        require(
            condition is not None or self.labels.num is None,
            f"labels.num expects a model that learns from labels, got {self.labels.num} labels for "
            "one that doesn't; use condition=label, or leave it out.",
        )
        self._splits: Splits | None = None

    @property
    def splits(self) -> Splits:
        """The data, loaded at the first use."""
        if self._splits is None:
            self._splits = binarise_splits(self._label(self.dataset.load()), self.pixels, self.seed)
        return self._splits

    @property
    def classes(self) -> FactorSpace | None:
        """What the classes of the images are combinations of; None without a condition."""
        classes = self.splits.classes
        return None if classes is None else classes.space

    @property
    def num_labelled(self) -> int:
        """Number of training images whose class is known; 0 without a condition."""
        labelled = self.splits.labelled
        if self.condition is None:
            return 0
        return self.num_train if labelled is None else len(labelled)

    @cached_property
    def sampler(self) -> BatchSampler | MixedSampler:
        """step -> positions of the images of its batch."""
        labelled = self.splits.labelled
        if labelled is None:
            return BatchSampler(
                self.num_train, self.batch_size, self.seed, replacement=self.replacement
            )
        known = torch.zeros(self.num_train, dtype=torch.bool)
        known[labelled] = True
        return MixedSampler(
            labelled,
            (~known).nonzero().flatten(),
            self.labels.num_in_batch(self.batch_size, self.num_train),
            self.batch_size,
            self.seed,
            replacement=self.replacement,
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
        if not is_drawn_each_step(train, self.pixels):
            return train.take(shard(positions, rank, world_size))
        # The noise is drawn for the global batch, so the number of processes changes nothing.
        return shard(draw_images(train, positions, self.seed, step), rank, world_size)

    def first_images(self, num: int) -> Tensor:
        """At least `num` images as the first steps of training see them: (N, C, H, W)."""
        return torch.cat([self.train_batch(step) for step in range(-(-num // self.batch_size))])

    def images_to_check(self) -> Iterator[Tensor]:
        """Training images as trained on, in parts, with all the pixels that there are.

        Images of bits are all alike, zeros and ones, so that some of them will do.
        """
        train = self.splits.train
        if is_drawn_each_step(train, self.pixels):
            yield self.train_batch(0)
            return
        num = NUM_AT_ONCE if train.images.packed else len(train)
        for positions in torch.arange(min(num, len(train))).split(NUM_AT_ONCE):
            yield train.take(positions)

    def train_classes(self, step: int, rank: int = 0, world_size: int = 1) -> Tensor:
        """The classes of the images of `train_batch`: (B / world_size,) int64, -1 if unknown."""
        positions = self.sampler(step)
        return shard(self.known_classes[positions.to(self.known_classes.device)], rank, world_size)

    @cached_property
    def known_classes(self) -> Tensor:
        """The classes of the training images as training knows them: (N,) int64, -1 if unknown."""
        train = self.splits.train
        assert train.labels is not None
        labels = train.labels.to(train.images.storage.device)
        if self.splits.labelled is None:
            return labels
        known = torch.full_like(labels, -1)
        known[self.splits.labelled] = labels[self.splits.labelled]
        return known

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

    def _label(self, splits: Splits) -> Splits:
        """The splits with classes as labels, and with the labels that are known in training.

        Raises:
            UserError: the data has no such labels, or too few of a class.
        """
        if self.condition is None:
            return splits
        return label_splits(
            splits, self.condition, self.labels, semi_supervised=self.semi_supervised
        )


class TrainBatches:
    """Batches (B, C, H, W) of this process, starting at the trainer's current step."""

    def __init__(self, data: ImageDataModule):
        self.data = data

    def __len__(self) -> int:
        return self.data.num_steps

    def __iter__(self) -> Iterator[Tensor | Batch]:
        trainer, data = self.data.trainer, self.data
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        for step in range(trainer.global_step if trainer else 0, data.num_steps):
            x = data.train_batch(step, rank, world_size)
            if data.condition is None:
                yield x
            else:
                yield Batch(x, data.train_classes(step, rank, world_size))

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

    def __iter__(self) -> Iterator[Tensor | Batch]:
        trainer = self.data.trainer
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        labels = self.subset.labels if self.data.condition else None
        positions = torch.arange(len(self.subset), device=self.subset.images.storage.device)
        batches = positions.split(self.data.eval_batch_size)
        for number in range(rank, len(batches), world_size):
            x = self.subset.take(batches[number])
            if labels is None:
                yield x
            else:
                yield Batch(x, labels[batches[number].to(labels.device)].to(x.device))
