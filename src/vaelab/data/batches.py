"""Which images make batch t: a pure function of (seed, step, rank, world size)."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaelab.seeding import derive_seed, generator


class Batch(NamedTuple):
    """Images x (B, C, H, W), and their classes y (B,) int64, -1 where unknown."""

    x: Tensor
    y: Tensor


class BatchSampler:
    """Positions of the images of the global batch at any step, in any order of steps.

    Without replacement the positions are one endless stream of shuffled passes over the data, cut
    into batches of equal size, so that an epoch may end inside a batch and every image is seen
    exactly once per pass. With replacement they are independent and uniform, as in Locatello et
    al., Challenging Common Assumptions in the Unsupervised Learning of Disentangled
    Representations, 2019, https://arxiv.org/abs/1811.12359

    Args:
        num_images: size of the training set.
        batch_size: images in the global batch, that of all processes together.
        seed: of the order.
        replacement: whether to draw with replacement.
    """

    def __init__(self, num_images: int, batch_size: int, seed: int, *, replacement: bool = False):
        self.num_images, self.batch_size = num_images, batch_size
        self.seed, self.replacement = seed, replacement
        self._passes: dict[int, Tensor] = {}

    def __call__(self, step: int) -> Tensor:
        """(batch_size,) int64 positions of the global batch at `step`."""
        if self.replacement:
            draw = generator("batch", self.seed, step)
            return torch.randint(self.num_images, (self.batch_size,), generator=draw)
        start = step * self.batch_size
        pieces = []
        needed = self.batch_size
        while needed:
            number, offset = divmod(start + self.batch_size - needed, self.num_images)
            piece = self._order(number)[offset : offset + needed]
            pieces.append(piece)
            needed -= len(piece)
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _order(self, number: int) -> Tensor:
        """The order of pass `number` over the data; the last two passes are cached."""
        if number not in self._passes:
            order = torch.randperm(self.num_images, generator=generator("order", self.seed, number))
            self._passes = {k: v for k, v in self._passes.items() if k == number - 1}
            self._passes[number] = order
        return self._passes[number]


class MixedSampler:
    """Positions of a batch of which the first are labelled images and the rest unlabelled ones.

    Each kind is a stream of its own, see `BatchSampler`.

    Args:
        labelled, unlabelled: positions of the images of each kind.
        num_labelled: images of the first kind in a batch.
        batch_size, seed, replacement: as there.
    """

    def __init__(
        self,
        labelled: Tensor,
        unlabelled: Tensor,
        num_labelled: int,
        batch_size: int,
        seed: int,
        *,
        replacement: bool = False,
    ):
        streams = (
            (labelled, num_labelled, derive_seed("labelled", seed)),
            (unlabelled, batch_size - num_labelled, seed),
        )
        self.parts = [
            (positions, BatchSampler(len(positions), size, own, replacement=replacement))
            for positions, size, own in streams
        ]

    def __call__(self, step: int) -> Tensor:
        """(batch_size,) int64 positions of the global batch at `step`."""
        return torch.cat([positions[sampler(step)] for positions, sampler in self.parts])


def shard(batch: Tensor, rank: int, world_size: int) -> Tensor:
    """The rows of the global batch that process `rank` of `world_size` works on."""
    rows = len(batch) // world_size
    return batch[rank * rows : (rank + 1) * rows]
