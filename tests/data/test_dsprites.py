"""The dSprites data set: storage, splits and what it rejects."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from vaelab.data import DSprites
from vaelab.data.rendering import render
from vaelab.errors import UserError

SIZES = (3, 2, 5, 4, 4)
NUM = 480


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def dsprites(root, **options):
    return DSprites(root, **{"image_size": 32, "factor_sizes": SIZES, "num_val": 50} | options)


def indices(subset):
    return set(subset.index.tolist())


def test_images_are_rendered_once_and_mapped(root):
    splits = dsprites(root).load()
    bits = render(SIZES, 32)
    assert (splits.train.images.storage.numpy() == bits).all()
    assert splits.image_shape == (1, 32, 32)
    image = splits.train.take(torch.tensor([7]))
    assert (image.numpy().ravel() == np.unpackbits(bits[7])).all()
    files = list((root / "dsprites").iterdir())
    assert len(files) == 1
    before = files[0].stat()
    assert dsprites(root).load().checksum == splits.checksum
    assert files[0].stat() == before


def test_storage_has_512_bytes_per_image(tmp_path):
    storage = (
        DSprites(tmp_path, num_val=3, factor_sizes=(3, 1, 2, 2, 1)).load().train.images.storage
    )
    assert storage.shape == (12, 512)
    assert storage.dtype == torch.uint8


def test_image_i_shows_factors_i(root):
    splits = dsprites(root).load()
    factors = splits.factors.unravel(torch.arange(NUM))
    x = splits.train.take(torch.arange(NUM))[:, 0]
    centre_x = (x.sum(1) * torch.arange(32)).sum(1) / x.sum((1, 2))
    square = factors[:, 0] == 0
    for name, values in (("posX", centre_x), ("scale", x.sum((1, 2)))):
        f = splits.factors.position(name)
        pair = torch.stack([factors[square, f].double(), values[square].double()])
        assert torch.corrcoef(pair)[0, 1] > 0.95
    assert torch.equal(splits.train.labels, factors[:, 0])


def test_full_grid_trains_on_everything(root):
    splits = dsprites(root).load()
    assert splits.train.index is None
    assert len(splits.train) == NUM
    assert splits.test is None
    assert len(indices(splits.val)) == 50
    assert torch.equal(splits.val.labels, splits.factors.values(splits.val.index, "shape"))
    other = dsprites(root, split_seed=1).load()
    assert indices(other.val) != indices(splits.val) == indices(dsprites(root).load().val)


def test_random_split_is_disjoint_and_complete(root):
    splits = dsprites(root, split="random", test_fraction=0.25).load()
    train, val, test = map(indices, (splits.train, splits.val, splits.test))
    assert (len(train), len(val), len(test)) == (310, 50, 120)
    assert train | val | test == set(range(NUM))
    other = dsprites(root, split="random", test_fraction=0.25, num_val=7).load()
    assert indices(other.test) == test  # the held-out part doesn't depend on num_val


def test_combinations_hold_out_what_matches_any_mapping(root):
    held_out = [{"shape": [2], "orientation": [0, 1]}, {"posX": [3]}]
    splits = dsprites(root, split="combinations", held_out=held_out).load()
    train, val, test = map(indices, (splits.train, splits.val, splits.test))
    factors = splits.factors.unravel(torch.arange(NUM))
    fits = (factors[:, 0] == 2) & (factors[:, 2] < 2) | (factors[:, 3] == 3)
    assert test == set(fits.nonzero().flatten().tolist())
    assert len(val) == 50
    # Orientations 0 and 4 are one angle; of the hearts with orientation 0 only 4 has the pixels.
    copies = (factors[:, 0] == 2) & (factors[:, 2] == 4) & ~fits
    assert train | val == set(range(NUM)) - test - set(copies.nonzero().flatten().tolist())
    assert not train & val


SPLITS = {
    "random": {"split": "random"},
    "hearts": {"split": "combinations", "held_out": [{"shape": [2], "orientation": [0, 1, 2]}]},
    "large hearts": {"split": "combinations", "held_out": [{"shape": [2], "scale": [1]}]},
    "last orientation": {"split": "combinations", "held_out": [{"orientation": [4]}]},
}


@pytest.mark.parametrize("options", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("image_size", [16, 64])
def test_no_part_has_the_pixels_of_an_image_of_another(root, options, image_size):
    sizes = (3, 4, 5, 6, 6)
    splits = dsprites(root, image_size=image_size, factor_sizes=sizes, **options).load()
    parts = [
        {row.numpy().tobytes() for row in part.images.storage[part.index]}
        for part in (splits.train, splits.val, splits.test)
    ]
    assert min(map(len, parts)) > 0
    assert len(set.union(*parts)) == sum(map(len, parts))
    assert len(splits.val) == 50


@pytest.mark.parametrize(
    ("held_out", "num_alike", "num_train"),
    [
        ([{"shape": [2], "orientation": [0, 1, 2]}], 192, 9752),  # hearts with orientation 19
        ([{"shape": [2], "scale": [2]}], 0, 9240),
        ([{"orientation": [19]}], 632, 9312),  # orientation 0, and more that rasterisation merges
    ],
)
def test_the_log_says_how_many_images_are_in_no_part(root, held_out, num_alike, num_train, caplog):
    small = {"factor_sizes": (3, 3, 20, 8, 8), "num_val": 1000}
    caplog.set_level("INFO")
    splits = dsprites(root, split="combinations", held_out=held_out, **small).load()
    assert f"; {num_alike} others have the same pixels as one of them and are in no part" in (
        caplog.text
    )
    assert len(splits.train) == num_train == 11_520 - len(splits.test) - 1000 - num_alike


def test_random_split_counts_the_images_that_have_copies(root, caplog):
    caplog.set_level("INFO")
    splits = dsprites(root, split="random").load()
    rows = splits.train.images.storage.numpy()
    _, counts = np.unique(rows, axis=0, return_counts=True)
    num = counts[counts > 1].sum()
    assert num >= 2 * 96  # one fifth of the orientations is there twice
    assert f"split=random: {num} of {NUM} images have others" in caplog.text


def test_full_grid_does_not_look_for_copies(root, monkeypatch):
    monkeypatch.setattr("vaelab.data.dsprites.first_copies", None)
    assert len(dsprites(root).load().train) == NUM


def test_shapes_are_chosen(tmp_path):
    splits = dsprites(tmp_path, factor_sizes=(1, *SIZES[1:]), shapes=[2]).load()
    assert (splits.train.images.storage.numpy() == render(SIZES, 32)[320:]).all()


def test_a_damaged_cache_says_delete_it(tmp_path):
    dsprites(tmp_path).load()
    (path,) = (tmp_path / "dsprites").iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(UserError, match=rf"{path.name} .*delete it and run again"):
        dsprites(tmp_path).load()


def test_two_processes_may_race(tmp_path):
    code = (
        "import sys; from vaelab.data import DSprites\n"
        "print(DSprites(sys.argv[1], num_val=9, factor_sizes=(3, 6, 10, 8, 8)).load().checksum)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert len({racer.communicate()[0] for racer in racers}) == 1
    assert [racer.returncode for racer in racers] == [0, 0]
    assert len(list((tmp_path / "dsprites").iterdir())) == 1


def test_importing_the_data_sets_leaves_slow_modules_out():
    code = (
        "import sys, vaelab.data; print({'torchvision', 'hydra', 'omegaconf'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "archived"}, r"^source expects .*, got 'archived'; did you mean archive\?"),
        ({"split": "full-grid"}, r"^split expects .*; did you mean full_grid\?"),
        ({"num_val": 0}, "^num_val expects to take 1 to 479 of 480 images, got 0; leave"),
        ({"num_val": NUM}, "got 480"),
        ({"split": "random", "test_fraction": 1.0}, "^test_fraction expects to take"),
        ({"split": "combinations"}, "^held_out expects .*, got None; try"),
        ({"split": "combinations", "held_out": [{"posx": [0]}]}, "got 'posx'; try posX"),
        ({"split": "combinations", "held_out": [{"posX": [4]}]}, "'posX' .* 0 to 3, got 4"),
        ({"split": "combinations", "held_out": [{"posX": 1}]}, "list of mappings"),
        ({"split": "combinations", "held_out": [{}]}, "list of mappings"),
        (
            {"split": "combinations", "held_out": [{"shape": [0, 1, 2]}]},
            "got 480 and .*; leave",
        ),
        (
            {"split": "combinations", "held_out": [{"orientation": [0, 1, 2, 3]}]},
            "got 384 and 96 others with the same pixels; leave",
        ),
        ({"image_size": 28}, "^image_size expects one of 16, 32, 64, got 28"),
    ],
)
def test_mistakes_are_named(root, options, message):
    with pytest.raises(UserError, match=message):
        dsprites(root, **options).load()
