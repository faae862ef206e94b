"""dSprites: binary 64 x 64 images of one sprite, every combination of five factors."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data import archive, rendering
from vaelab.data.cache import open_array, store_array
from vaelab.data.download import fetch
from vaelab.data.factors import FactorSpace
from vaelab.data.images import Images, Splits, Subset
from vaelab.data.splitting import first_copies, split_off
from vaelab.errors import UserError, require, require_choice

log = logging.getLogger(__name__)

SOURCES = ("rendered", "archive")
SPLITS = ("full_grid", "random", "combinations")
URL = (
    "https://github.com/google-deepmind/dsprites-dataset/raw/master/"
    "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
)
GIT_BLOB_ID = "d98996d3f8ee1550e06b9d4ed78d0beb478910d5"  # the checksum of that file


class DSprites:
    """dSprites: 737,280 images, stored at one bit per pixel (512 bytes per image).

    Source: Matthey et al., dSprites: Disentanglement testing Sprites dataset, 2017,
    https://github.com/google-deepmind/dsprites-dataset

    Args:
        root: the data folder; the packed images are cached in its folder `dsprites`.
        source: "rendered" draws the images (seconds, no network); "archive" downloads the
            original (26 MB).
        split: "full_grid" trains on every image, as the published studies do: validation is then
            a sample of the training images, NOT held out, and there is no test part. "random"
            holds out a fraction, "combinations" the combinations named by `held_out`. Some
            combinations look the same (orientations 0 and 39, and what rasterisation merges:
            715,736 of the 737,280 images differ). No image of training has the pixels of one of
            validation or test, nor one of validation those of test: "random" keeps images with
            the same pixels in one part, "combinations" leaves out what is not held out but has
            the pixels of an image that is. The log says how many.
        num_val: validation images: a seeded sample of the grid ("full_grid"), or taken from the
            training part (otherwise).
        test_fraction: fraction of the images held out by "random".
        held_out: for "combinations": mappings from factor name to a list of values; an image is
            held out if it matches all factors of any of them.
        split_seed: seed of the samples.
        image_size: height and width in pixels, 16, 32 or 64.
        factor_sizes: numbers of shapes, scales, orientations, posX and posY.
        shapes: which shapes: 0 square, 1 ellipse, 2 heart.

    Raises:
        UserError: unknown values, or values that don't fit together.
    """

    name: ClassVar[str] = "dsprites"

    def __init__(
        self,
        root: str | Path,
        source: str = "rendered",
        split: str = "full_grid",
        num_val: int = 10_000,
        test_fraction: float = 0.1,
        held_out: Sequence[Mapping[str, Sequence[int]]] | None = None,
        split_seed: int = 0,
        image_size: int = 64,
        factor_sizes: Sequence[int] = rendering.SIZES,
        shapes: Sequence[int] = (0, 1, 2),
    ):
        require_choice("source", source, SOURCES)
        require_choice("split", split, SPLITS)
        self.image_size, self.shapes = image_size, tuple(shapes)
        rendering.require_arguments(tuple(factor_sizes), image_size, self.shapes)
        self.folder = Path(root).expanduser() / self.name
        self.source, self.split, self.split_seed = source, split, split_seed
        self.num_val, self.test_fraction = num_val, test_fraction
        self.factors = FactorSpace(rendering.FACTORS, tuple(factor_sizes))
        self.held_out = _to_plain(held_out, self.factors) if split == "combinations" else ()

    def load(self) -> Splits:
        """Images (1, image_size, image_size), drawn or downloaded once and then cached."""
        path = self.folder / self._cache_name()
        if not path.exists():
            store_array(path, (len(self.factors), self.image_size**2 // 8), self._packed_chunks())
        bits, checksum = open_array(path)
        images = Images(torch.from_numpy(bits), (1, self.image_size, self.image_size), packed=True)
        train, val, test = self._indices(images)

        def subset(index: Tensor | None) -> Subset:
            numbers = torch.arange(len(images)) if index is None else index
            return Subset(images, index, self.factors.values(numbers, "shape"))

        test_subset = None if test is None else subset(test)
        return Splits(subset(train), subset(val), test_subset, self.factors, checksum)

    def _cache_name(self) -> str:
        """One name for each set of pixels."""
        images = f"{self.image_size}px-{'x'.join(map(str, self.factors.sizes))}"
        if self.source == "archive":
            return f"archive-{GIT_BLOB_ID[:12]}-{images}.npy"
        shapes = "".join(map(str, self.shapes))
        return f"rendered-v{rendering.VERSION}-{images}-shapes{shapes}.npy"

    def _packed_chunks(self) -> Iterator[NDArray[np.uint8]]:
        if self.source == "archive":
            path = self.folder / URL.rsplit("/", 1)[-1]
            advice = "or draw the images: source=rendered"
            fetch(URL, path, git_blob_id=GIT_BLOB_ID, alternative=advice)
            yield from archive.read_packed_chunks(path, self.factors, self.image_size)
        else:
            for shape in self.shapes:  # one at a time takes a third of the memory
                yield rendering.render((1, *self.factors.sizes[1:]), self.image_size, (shape,))

    def _indices(self, images: Images) -> tuple[Tensor | None, Tensor, Tensor | None]:
        """Image numbers of training (None for all), validation and test (None for no such part)."""
        everything = torch.arange(len(images))
        if self.split == "full_grid":
            _, val = split_off(everything, self.num_val, self.split_seed, "num_val")
            return None, val, None
        copies = first_copies(images)
        if self.split == "random":
            num = round(self.test_fraction * len(images))
            train, test = split_off(
                everything, num, self.split_seed, "test_fraction", copies=copies
            )
            num_alike = int((copies.bincount(minlength=len(images))[copies] > 1).sum())
            log.info(
                "split=random: %s of %s images have others with the same pixels, which stay in "
                "the same part",
                *(f"{n:,}" for n in (num_alike, len(images))),
            )
        else:
            train, test = self._split_combinations(copies)
        train, val = split_off(train, self.num_val, self.split_seed, "num_val", copies=copies)
        return train, val, test

    def _split_combinations(self, copies: Tensor) -> tuple[Tensor, Tensor]:
        """Image numbers of the combinations in `held_out`, and of those that look like none."""
        everything = torch.arange(len(copies))
        out = self._is_held_out(everything)
        alike = torch.isin(copies, copies[out]) & ~out
        train, test = everything[~(out | alike)], everything[out]
        num = f"{len(everything):,}"
        require(
            len(test) > 0 and len(train) > 0,
            f"held_out expects some of the {num} images, got {len(test):,} and {alike.sum():,} "
            "others with the same pixels; leave images for training and for test.",
        )
        log.info(
            "split=combinations: %s of %s images are held out for test; %s others have the same "
            "pixels as one of them and are in no part",
            *(f"{n:,}" for n in (len(test), len(everything), int(alike.sum()))),
        )
        return train, test

    def _is_held_out(self, index: Tensor) -> Tensor:
        """Which images match any mapping of `held_out`: bool (N,)."""
        out = torch.zeros(len(index), dtype=torch.bool)
        for mapping in self.held_out:
            matches = torch.ones_like(out)
            for name, values in mapping.items():
                matches &= torch.isin(self.factors.values(index, name), torch.tensor(values))
            out |= matches
        return out


def _to_plain(
    held_out: Sequence[Mapping[str, Sequence[int]]] | None, space: FactorSpace
) -> tuple[dict[str, list[int]], ...]:
    """`held_out` as plain containers, its names and values found in the space."""
    example = "[{shape: [2], orientation: [0, 1, 2]}]"
    if not held_out or not all(_is_mapping_to_values(mapping) for mapping in held_out):
        raise UserError(
            f"held_out expects a list of mappings from factor to values, got {held_out}; try "
            f"{example}, or another split."
        )
    plain = tuple({str(name): list(values) for name, values in m.items()} for m in held_out)
    for mapping in plain:
        for name, values in mapping.items():
            space.require_values(name, torch.tensor(values))
    return plain


def _is_mapping_to_values(entry: object) -> bool:
    return isinstance(entry, Mapping) and all(
        isinstance(values, Sequence) and values and all(isinstance(v, int) for v in values)
        for values in entry.values() or [()]
    )
