"""Standard normal noise that does not depend on how a batch is split over processes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

# A module variable and not a ContextVar: torch.compile guards on it and so traces through.
_rank_and_world_size = (0, 1)


@contextmanager
def global_batch(rank: int, world_size: int) -> Iterator[None]:
    """Inside, every process draws the noise of the whole batch and keeps its own rows.

    With the same seed on every rank the processes together then see exactly the noise that one
    process would see on the whole batch, so that both have the same loss.

    rank: this process, 0 .. world_size - 1. world_size: number of processes, each with as many
    rows. Raises ValueError if rank lies outside.
    """
    global _rank_and_world_size
    if not 0 <= rank < world_size:
        raise ValueError(f"Expected 0 <= rank < world_size but got {rank} and {world_size}.")
    outer, _rank_and_world_size = _rank_and_world_size, (rank, world_size)
    try:
        yield
    finally:
        _rank_and_world_size = outer


def standard_normal_noise(shape: Sequence[int], batch_dim: int, like: Tensor) -> Tensor:
    """Noise N(0, I) of `shape`, with the dtype and device of `like`, from torch's generator.

    batch_dim: the dimension that `global_batch` splits over processes; where `shape` has no such
    dimension, all processes get the same noise.
    """
    rank, world_size = _rank_and_world_size
    if world_size == 1 or not -len(shape) <= batch_dim < len(shape):
        return torch.randn(*shape, dtype=like.dtype, device=like.device)
    rows = shape[batch_dim]
    whole = list(shape)
    whole[batch_dim] = rows * world_size
    noise = torch.randn(*whole, dtype=like.dtype, device=like.device)
    return noise.narrow(batch_dim, rank * rows, rows)
