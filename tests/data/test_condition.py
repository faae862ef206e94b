"""Classes of images: labels or combinations of factors, beside their images in every batch."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from vaelab.data import Condition, DSprites, Labels
from vaelab.data.batches import Batch
from vaelab.data.datamodule import ImageDataModule
from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import UserError
from vaelab.models import Condition as ModelCondition

SIZES = (3, 2, 1, 4, 4)


class Numbered:
    """60 + 12 + 8 images 1 x 1 x 2 whose first byte is their number and second their label."""

    def load(self):
        numbers = torch.arange(80)
        labels = numbers * 7 % 4
        images = Images(torch.stack([numbers, 60 * labels], 1).to(torch.uint8), (1, 1, 2))
        index = torch.randperm(80, generator=torch.Generator().manual_seed(0))
        parts = [Subset(images, part, labels[part]) for part in index.split([60, 12, 8])]
        return Splits(*parts, checksum="numbered")


def module(dataset=None, condition=None, **options):
    options = {"batch_size": 8, "condition": condition or Condition()} | options
    return ImageDataModule(dataset or Numbered(), **options)


@pytest.fixture
def sprites(tmp_path):
    return DSprites(tmp_path, image_size=16, factor_sizes=SIZES, num_val=10)


def numbers_of(x):
    return (x[:, 0, 0, 0] * 255).round().long()


def labels_of(x):
    return (x[:, 0, 0, 1] * 255 / 60).round().long()


@pytest.mark.parametrize("replacement", [False, True])
def test_every_image_has_its_own_label(replacement):
    data = module(replacement=replacement, num_steps=30)
    batches = list(data.train_dataloader())
    assert len(batches) == 30
    for batch in [*batches, *data.val_dataloader(), *data.test_dataloader()]:
        assert isinstance(batch, Batch)
        assert batch.y.dtype == torch.int64
        assert torch.equal(batch.y, labels_of(batch.x))


def test_batches_are_functions_of_the_seed_and_the_step():
    data, again, other = module(), module(), module(seed=1)
    data.train_batch(0)
    for step in (9, 3, 9):
        assert torch.equal(data.train_batch(step), again.train_batch(step))
        assert torch.equal(data.train_classes(step), again.train_classes(step))
    assert not torch.equal(data.train_batch(3), other.train_batch(3))


def test_images_are_those_of_a_run_without_a_condition():
    plain = ImageDataModule(Numbered(), batch_size=8)
    assert all(torch.equal(module().train_batch(t), plain.train_batch(t)) for t in (0, 20))
    x = next(iter(plain.val_dataloader()))
    assert torch.equal(next(iter(module().val_dataloader())).x, x)


@pytest.mark.parametrize("pixels", ["static", "dynamic"])
def test_binarised_images_keep_their_labels(pixels):
    """Which of two bytes is white depends on the label alone, so that it survives any draw."""

    class Sided(Numbered):
        def load(self):
            splits = super().load()
            labels = torch.arange(80) * 7 % 4
            black_and_white = torch.stack([labels % 2, labels // 2], 1).to(torch.uint8) * 255
            images = Images(black_and_white, (1, 1, 2))
            names = ("train", "val", "test")
            parts = {name: replace(getattr(splits, name), images=images) for name in names}
            return replace(splits, **parts)

    data = module(Sided(), pixels=pixels, num_steps=10)
    for batch in [*data.train_dataloader(), *data.val_dataloader(), *data.test_dataloader()]:
        bits = batch.x[:, 0, 0].long()
        assert torch.equal(batch.y, bits[:, 0] + 2 * bits[:, 1])


def test_processes_share_the_classes_of_the_global_batch():
    data = module()
    whole = data.train_classes(4)
    parts = [data.train_classes(4, rank, 2) for rank in (0, 1)]
    assert torch.equal(torch.cat(parts), whole)


def test_few_labels_are_balanced_nested_and_apart_from_the_seed():
    def trained_on(num, seed=0, labels_seed=0):
        data = module(seed=seed, labels=Labels(num, labels_seed))
        labels = data.splits.train.labels
        assert len(labels) == num
        assert labels.bincount(minlength=4).tolist() == [num // 4] * 4
        return set(data.splits.train.index.tolist())

    assert trained_on(8) < trained_on(20) < trained_on(40)
    assert trained_on(20) == trained_on(20, seed=1)
    assert trained_on(20) != trained_on(20, labels_seed=1)
    data = module(labels=Labels(20), num_steps=10)
    known = trained_on(20)
    for batch in data.train_dataloader():
        assert set(numbers_of(batch.x).tolist()) <= known
        assert torch.equal(batch.y, labels_of(batch.x))
    assert len(data.splits.val) == 12


def test_unlabelled_images_stay_in_semi_supervised_batches():
    data = module(labels=Labels(12, per_batch=3), semi_supervised=True, num_steps=30)
    seen = set()
    for batch in data.train_dataloader():
        assert (batch.y >= 0).tolist() == [True] * 3 + [False] * 5
        assert torch.equal(batch.y[:3], labels_of(batch.x)[:3])
        seen |= set(numbers_of(batch.x).tolist())
    assert len(seen) == 60
    assert data.num_labelled == 12


@pytest.mark.parametrize("names", [("shape",), ("posY", "scale"), ("scale", "orientation", "posX")])
def test_classes_are_combinations_of_the_values_of_factors(sprites, names):
    splits = sprites.load()
    condition = Condition(names)
    classes, labelled = condition.classes(splits), condition.label(splits)
    space = splits.factors
    index = torch.arange(len(space))
    values = torch.stack([space.values(index, name) for name in names], -1)
    y = labelled.image_labels
    assert torch.equal(classes.unravel(y), values)
    assert len(set(y.tolist())) == len(classes)
    assert torch.equal(torch.stack(torch.unravel_index(y, classes.sizes), -1), values)
    # The model's vectors say the same.
    vectors, start = ModelCondition(classes.sizes)(y), 0
    for f, size in enumerate(classes.sizes):
        assert torch.equal(vectors[:, start : start + size].argmax(-1), values[:, f])
        start += size
    for part in (labelled.train, labelled.val):
        rows = torch.arange(len(space)) if part.index is None else part.index
        assert torch.equal(part.labels, y[rows])


def test_a_class_without_training_images_is_a_warning(caplog):
    class Lacking(Numbered):
        def load(self):
            splits = super().load()
            return replace(splits, train=replace(splits.train, labels=splits.train.labels % 2))

    with caplog.at_level(logging.WARNING):
        data = module(Lacking())
        assert len(data.classes) == 4
    assert "no training images of the classes 2, 3" in caplog.text
    with pytest.raises(UserError, match="expects images of each of 4 classes, got none of class 2"):
        _ = module(Lacking(), labels=Labels(8)).splits


class Unlabelled:
    def load(self):
        images = Images(torch.zeros(20, 4, dtype=torch.uint8), (1, 2, 2))
        return Splits(*(Subset(images, part) for part in torch.arange(20).split([12, 8])))


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        (Unlabelled, {}, r"^a condition on the label expects data with labels, got data without"),
        (
            Unlabelled,
            {"condition": Condition(["shape"])},
            r"^condition.factors expects data with factors, got data without for \['shape'\]",
        ),
        (None, {"condition": Condition(["colour"])}, r"^condition.factors expects different ones"),
        (None, {"condition": Condition(["posX", "posX"])}, r"^condition.factors expects different"),
        (Numbered, {"labels": Labels(3)}, r"^labels.num expects an integer of at least 4"),
        (Numbered, {"labels": Labels(59)}, r"^labels.num expects at most \d+ with equally many"),
        (
            Numbered,
            {"labels": Labels(8, per_batch=8), "semi_supervised": True},
            r"^per_batch expects a number below 8",
        ),
    ],
)
def test_conditions_that_the_data_does_not_have(dataset, options, message, sprites):
    with pytest.raises(UserError, match=message):
        _ = module(dataset() if dataset else sprites, **options).sampler


def test_labels_without_a_model_that_learns_from_them():
    with pytest.raises(UserError, match=r"^labels.num expects a model that learns from labels"):
        ImageDataModule(Numbered(), labels=Labels(8))


def test_no_factors_at_all():
    with pytest.raises(UserError, match="factors expects names of factors, got an empty list"):
        Condition([])


def test_a_process_has_the_classes_of_its_images():
    data = module(eval_batch_size=4, num_steps=9)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(global_rank=1, world_size=2, global_step=2, strategy=strategy)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert torch.equal(batch.y, labels_of(batch.x))
    assert batch.x.shape[0] == 4
