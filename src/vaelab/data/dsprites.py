"""dSprites: binary 64 x 64 images of one sprite, every combination of five factors."""

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
from vaelab.data.splitting import carve
from vaelab.errors import UserError, nearest, require

_SOURCES = ("rendered", "archive")
_SPLITS = ("full_grid", "random", "combinations")


class DSprites:
    """The sprites of Matthey et al. (2017), 737,280 images, one bit a pixel (512 bytes an image).

    Args:
        root: the data folder; the packed images are kept in its folder `dsprites`.
        source: "rendered" draws the images (seconds, no network); "archive" downloads the
            original (26 MB).
        split: "full_grid" trains on every image, as the published studies do: validation is then
            a sample of the training images, NOT held out, and there is no test part. "random"
            holds out a fraction, "combinations" the combinations named by `held_out`.
        num_val: validation images: a seeded sample of the grid ("full_grid"), or taken off the
            training part (otherwise).
        test_fraction: of the images, for "random".
        held_out: for "combinations": mappings from factor name to the list of its values; an
            image that fits any of them in all its factors is for test.
        split_seed: what the samples depend on.
        image_size: pixels a side, 16, 32 or 64.
        factor_sizes: numbers of shapes, scales, orientations, posX and posY.
        shapes: which shapes: 0 square, 1 ellipse, 2 heart.
        url: of the archive.
        git_blob_id: of the archive, its checksum.

    Raises:
        UserError: values that are unknown or don't fit each other.
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
        url: str = (
            "https://github.com/google-deepmind/dsprites-dataset/raw/master/"
            "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
        ),
        git_blob_id: str = "d98996d3f8ee1550e06b9d4ed78d0beb478910d5",
    ):
        _require_choice("source", source, _SOURCES)
        _require_choice("split", split, _SPLITS)
        self.image_size, self.shapes = image_size, tuple(shapes)
        rendering.require_arguments(tuple(factor_sizes), image_size, self.shapes)
        self.folder = Path(root).expanduser() / self.name
        self.source, self.split, self.split_seed = source, split, split_seed
        self.num_val, self.test_fraction = num_val, test_fraction
        self.factors = FactorSpace(rendering.FACTORS, tuple(factor_sizes))
        self.held_out = _checked(held_out, self.factors) if split == "combinations" else ()
        self.url, self.git_blob_id = url, git_blob_id

    def load(self) -> Splits:
        """The images, drawn or downloaded at the first call and read from the cache later."""
        path = self.folder / self._cache_name()
        if not path.exists():
            store_array(path, (len(self.factors), self.image_size**2 // 8), self._packed_chunks())
        bits, checksum = open_array(path)
        images = Images(torch.from_numpy(bits), (1, self.image_size, self.image_size), packed=True)
        train, val, test = self._indices()

        def subset(index: Tensor | None) -> Subset:
            numbers = torch.arange(len(images)) if index is None else index
            return Subset(images, index, self.factors.values(numbers, "shape"))

        test_subset = None if test is None else subset(test)
        return Splits(subset(train), subset(val), test_subset, self.factors, checksum)

    def _cache_name(self) -> str:
        """One name for one set of pixels."""
        images = f"{self.image_size}px-{'x'.join(map(str, self.factors.sizes))}"
        if self.source == "archive":
            return f"archive-{self.git_blob_id[:12]}-{images}.npy"
        shapes = "".join(map(str, self.shapes))
        return f"rendered-v{rendering.VERSION}-{images}-shapes{shapes}.npy"

    def _packed_chunks(self) -> Iterator[NDArray[np.uint8]]:
        if self.source == "archive":
            path = self.folder / self.url.rsplit("/", 1)[-1]
            hint = "Or draw the images instead: data.source=rendered."
            fetch(self.url, path, git_blob_id=self.git_blob_id, alternative=hint)
            yield from archive.packed_chunks(path, self.factors, self.image_size)
        else:
            for shape in self.shapes:  # one at a time takes a third of the memory
                yield rendering.render((1, *self.factors.sizes[1:]), self.image_size, (shape,))

    def _indices(self) -> tuple[Tensor | None, Tensor, Tensor | None]:
        """Image numbers of training (None for all), validation and test (None for no such part)."""
        everything = torch.arange(len(self.factors))
        if self.split == "full_grid":
            _, val = carve(everything, self.num_val, self.split_seed, "data.num_val")
            return None, val, None
        if self.split == "random":
            num_test = round(self.test_fraction * len(everything))
            train, test = carve(everything, num_test, self.split_seed, "data.test_fraction")
        else:
            out = self._is_held_out(everything)
            train, test = everything[~out], everything[out]
            require(
                0 < len(test) < len(everything),
                f"Expected held_out to name some of the {len(everything)} images but got "
                f"{len(test)}. Change data.held_out so that training and test both have images.",
            )
        train, val = carve(train, self.num_val, self.split_seed, "data.num_val")
        return train, val, test

    def _is_held_out(self, index: Tensor) -> Tensor:
        """Which images fit any mapping of `held_out`: bool (N,)."""
        out = torch.zeros(len(index), dtype=torch.bool)
        for mapping in self.held_out:
            fits = torch.ones_like(out)
            for name, values in mapping.items():
                fits &= torch.isin(self.factors.values(index, name), torch.tensor(values))
            out |= fits
        return out


def _checked(
    held_out: Sequence[Mapping[str, Sequence[int]]] | None, space: FactorSpace
) -> tuple[dict[str, list[int]], ...]:
    """`held_out` as plain containers, its names and values found in the space."""
    example = "[{shape: [2], orientation: [0, 1, 2]}]"
    if not held_out or not all(_is_mapping_to_values(mapping) for mapping in held_out):
        raise UserError(
            f"Expected held_out to be a list of mappings from factor to values, as in {example}, "
            f"but got {held_out}. Set data.held_out, or another data.split."
        )
    plain = tuple({str(name): list(values) for name, values in m.items()} for m in held_out)
    for mapping in plain:
        for name, values in mapping.items():
            space.require_range(name, torch.tensor(values))
    return plain


def _is_mapping_to_values(entry: object) -> bool:
    return isinstance(entry, Mapping) and all(
        isinstance(values, Sequence) and values and all(isinstance(v, int) for v in values)
        for values in entry.values() or [()]
    )


def _require_choice(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        hint = nearest(str(value), known, 1) or known[0]
        raise UserError(
            f"Expected data.{option} to be {', '.join(known)} but got '{value}'. "
            f"Write data.{option}={hint}."
        )
