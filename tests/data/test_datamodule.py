"""The data module on a small made-up data set."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from vaelab.data.datamodule import ImageDataModule
from vaelab.data.factors import FactorTable
from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import UserError

CPU = torch.device("cpu")


class Grey:
    """20 + 9 + 7 grey images 2 x 4 x 5, training images stored in another order."""

    def load(self):
        draw = torch.Generator().manual_seed(0)
        bytes_ = torch.randint(256, (36, 40), generator=draw, dtype=torch.uint8)
        images = Images(bytes_, (2, 4, 5))
        index = torch.randperm(36, generator=draw)
        parts = [Subset(images, part, part % 3) for part in index.split([20, 9, 7])]
        return Splits(*parts, checksum="grey")


class Packed:
    """20 + 9 binary images 1 x 4 x 4, one bit a pixel, no test set."""

    def load(self):
        draw = torch.Generator().manual_seed(0)
        bits = torch.randint(256, (29, 2), generator=draw, dtype=torch.uint8)
        images = Images(bits, (1, 4, 4), packed=True)
        return Splits(Subset(images, torch.arange(20)), Subset(images, torch.arange(20, 29)))


def module(pixels, dataset=None, **options):
    return ImageDataModule(dataset or Grey(), **{"batch_size": 6, "pixels": pixels} | options)


def attach(data, rank=0, world_size=1, step=0):
    strategy = SimpleNamespace(root_device=CPU)
    data.trainer = SimpleNamespace(
        global_rank=rank, world_size=world_size, global_step=step, strategy=strategy
    )
    data.setup("fit")
    return data


def everything(loader):
    return torch.cat(list(loader))


def is_binary(x):
    return bool(((x == 0) | (x == 1)).all())


def test_greyscale_is_as_stored():
    data, splits = module("greyscale"), Grey().load()
    assert torch.equal(data.train_batch(3), splits.train.take(data.sampler(3)))
    assert torch.equal(everything(data.val_dataloader()), splits.val.take(torch.arange(9)))
    assert torch.equal(everything(data.test_dataloader()), splits.test.take(torch.arange(7)))
    assert data.image_shape == (2, 4, 5)
    assert data.num_train == 20


def test_dynamic_pixels_differ_by_step_and_are_the_same_by_seed():
    # Steps 0 and 5 of batches of 20 are whole passes: the same images in another order.
    data = module("dynamic", batch_size=20)
    first, later = (data.train_batch(t)[data.sampler(t).argsort()] for t in (0, 5))
    assert is_binary(first)
    assert 0.1 < (first != later).float().mean() < 0.6
    assert torch.equal(module("dynamic", batch_size=20).train_batch(5), data.train_batch(5))
    other = module("dynamic", batch_size=20, seed=1)
    other_first = other.train_batch(0)[other.sampler(0).argsort()]
    assert not torch.equal(other_first, first)


@pytest.mark.parametrize("pixels", ["dynamic", "static"])
def test_binarised_pixels_average_to_the_grey_value(pixels):
    total, num = torch.zeros(20, 2, 4, 5), 600
    for i in range(num):
        data = module(pixels, batch_size=20, seed=0 if pixels == "dynamic" else i)
        step = i if pixels == "dynamic" else 0
        total += data.train_batch(step)[data.sampler(step).argsort()]
    grey = Grey().load().train.take(torch.arange(20))
    error = (total / num - grey) / (grey * (1 - grey) / num).sqrt().clamp(min=1e-3)
    assert error.abs().max() < 5


@pytest.mark.parametrize("noise", [0.0, 1 - 2**-24])
def test_black_and_white_stay_whatever_is_drawn(monkeypatch, noise):
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.full(shape, noise))
    for pixels in ("dynamic", "static"):
        data = module(pixels, batch_size=20)
        x, grey = data.train_batch(0), Grey().load().train.take(data.sampler(0))
        assert (grey == 0).any()
        assert (x[grey == 0] == 0).all()
        assert (x[grey == 1] == 1).all()


def test_static_pixels_are_fixed_at_all_steps_and_follow_the_seed():
    def images(data, step):
        return data.train_batch(step)[data.sampler(step).argsort()]

    data = module("static", batch_size=20)
    assert is_binary(images(data, 0))
    assert torch.equal(images(data, 0), images(data, 7))
    assert torch.equal(images(data, 0), images(module("static", batch_size=20), 0))
    assert not torch.equal(images(data, 0), images(module("static", batch_size=20, seed=1), 0))


def test_evaluation_pixels_are_the_same_whatever_the_training_seed_and_treatment():
    val, test = [], []
    for pixels in ("dynamic", "static"):
        for seed in (0, 1):
            data = module(pixels, seed=seed)
            val.append(everything(data.val_dataloader()))
            test.append(everything(data.test_dataloader()))
    assert is_binary(val[0])
    assert all(torch.equal(x, val[0]) for x in val)
    assert all(torch.equal(x, test[0]) for x in test)
    assert not torch.equal(val[0][:7], test[0])


@pytest.mark.parametrize("pixels", ["greyscale", "dynamic", "static"])
@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("world_size", [2, 3])
def test_shards_of_all_processes_make_the_global_batch(pixels, replacement, world_size):
    whole = module(pixels, replacement=replacement)
    for step in (0, 3, 4):
        shards = [
            module(pixels, replacement=replacement).train_batch(step, rank, world_size)
            for rank in range(world_size)
        ]
        assert torch.equal(torch.cat(shards), whole.train_batch(step))


@pytest.mark.parametrize("pixels", ["greyscale", "dynamic", "static"])
def test_packed_images_are_the_same_under_every_treatment(pixels):
    data, splits = module(pixels, Packed()), Packed().load()
    for step in (0, 3):
        assert torch.equal(data.train_batch(step), splits.train.take(data.sampler(step)))
    assert torch.equal(everything(data.val_dataloader()), splits.val.take(torch.arange(9)))


@pytest.mark.parametrize("pixels", ["dynamic", "static"])
def test_labels_and_checksum_outlive_binarising(pixels):
    splits, grey = module(pixels).splits, Grey().load()
    for name in ("train", "val", "test"):
        assert torch.equal(getattr(splits, name).labels, getattr(grey, name).labels)
        assert len(getattr(splits, name)) == len(getattr(grey, name))
    assert splits.checksum == "grey"


@pytest.mark.parametrize("pixels", ["greyscale", "dynamic", "static"])
def test_factors_stay_with_their_images_under_every_treatment(pixels):
    class WithFactors(Grey):
        def load(self):
            return replace(super().load(), factors=FactorTable({"a": torch.arange(36) % 6}))

    splits, grey = module(pixels, WithFactors()).splits, Grey().load()
    assert splits.val.images is splits.test.images  # those that metrics look at
    assert len(splits.val.images) == len(splits.factors) == 36
    for name in ("val", "test"):
        part = getattr(splits, name)
        assert torch.equal(part.index, getattr(grey, name).index)
        x, expected = (s.images.take(torch.arange(36)) for s in (part, getattr(grey, name)))
        if pixels == "greyscale":
            assert torch.equal(x, expected)
        else:
            assert set(x.unique().tolist()) == {0, 1}
            # 1,440 Bernoulli pixels: the mean squared difference is that of x (1 - x), 1/6.
            assert (x - expected).square().mean() == pytest.approx(1 / 6, abs=0.03)
    again = module(pixels, WithFactors(), seed=5).splits
    assert torch.equal(again.val.images.storage, splits.val.images.storage)


@pytest.mark.parametrize("pixels", ["greyscale", "dynamic"])
def test_serving_data_leaves_the_global_generator_alone(pixels):
    before = torch.get_rng_state()
    data = module(pixels)
    data.train_batch(0)
    everything(data.val_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_training_starts_at_the_trainers_step():
    data = attach(module("dynamic", num_steps=7), step=4)
    batches = list(data.train_dataloader())
    assert len(batches) == 3
    for step, x in zip(range(4, 7), batches, strict=True):
        assert torch.equal(x, module("dynamic").train_batch(step))


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_together_evaluate_every_image_once(world_size):
    expected = Grey().load().val.take(torch.arange(9))
    found = {}
    for rank in range(world_size):
        loader = attach(module("greyscale", eval_batch_size=2), rank, world_size).val_dataloader()
        batches = {rank + i * world_size: x for i, x in enumerate(loader)}
        assert len(loader) == len(batches)
        assert not found.keys() & batches.keys()
        found |= batches
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert torch.equal(torch.cat([found[number] for number in sorted(found)]), expected)


def test_fewer_evaluation_batches_than_processes_are_rejected():
    """Lightning would end with an error about a loader of length zero."""
    with pytest.raises(UserError, match=r"^eval_batch_size .* got 5 for 6 processes; lower it"):
        attach(module("greyscale", batch_size=6, eval_batch_size=2), world_size=6)


def test_a_batch_that_processes_cannot_share_is_rejected():
    with pytest.raises(UserError, match=r"^batch_size .* multiple .*, got 6 images for 4 proc"):
        attach(module("greyscale"), world_size=4)


def test_data_without_a_test_set_says_so():
    with pytest.raises(UserError, match="expects data with a test set"):
        module("greyscale", Packed()).test_dataloader()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixels": "dynamc"}, r"^pixels expects .*, got 'dynamc'; did you mean dynamic"),
        ({"batch_size": 0}, "^batch_size expects an integer of at least 1, got 0; try 64"),
        ({"batch_size": 6.5}, "^batch_size expects an integer of at least 1, got 6.5"),
        ({"eval_batch_size": -3}, "^eval_batch_size expects .* got -3"),
        ({"num_steps": -1}, "^num_steps expects an integer of at least 0, got -1"),
    ],
)
def test_senseless_options_are_rejected_by_name(options, message):
    with pytest.raises(UserError, match=message):
        ImageDataModule(Grey(), **options)
