"""Noise and statistics of a batch, independent of how it is split over processes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, distributed
from torch.autograd.function import FunctionCtx

from vaelab.errors import require_range

# A module variable and not a ContextVar: torch.compile guards on it and so traces through.
_rank_and_world_size = (0, 1)


@contextmanager
def split_over_processes(rank: int, world_size: int) -> Iterator[None]:
    """Within this context every process draws the noise of the whole batch and keeps its own rows.

    With the same seed on every rank the processes together then see exactly the noise that one
    process would see on the whole batch, so that both have the same loss.

    Args:
        rank: of this process, 0 to world_size - 1.
        world_size: number of processes, each with the same number of rows.

    Raises:
        UserError: rank is out of its range.
    """
    global _rank_and_world_size
    require_range("rank", rank, at_least=0, below=world_size, integer=True, example=0)
    outer, _rank_and_world_size = _rank_and_world_size, (rank, world_size)
    try:
        yield
    finally:
        _rank_and_world_size = outer


def standard_normal_noise(shape: Sequence[int], batch_dim: int, like: Tensor) -> Tensor:
    """Noise N(0, I) of `shape`, with the dtype and device of `like`, from torch's generator.

    batch_dim: the dimension of the batch, which is split over processes; where `shape` has no such
    dimension, all processes get the same noise.
    """
    return _own_noise(torch.randn, shape, batch_dim, like)


def uniform_noise(shape: Sequence[int], batch_dim: int, like: Tensor) -> Tensor:
    """Noise U[0, 1), otherwise as `standard_normal_noise`."""
    return _own_noise(torch.rand, shape, batch_dim, like)


def _own_noise(
    draw: Callable[..., Tensor], shape: Sequence[int], batch_dim: int, like: Tensor
) -> Tensor:
    """This process's rows of what `draw` gives for the whole batch."""
    rank, world_size = _rank_and_world_size
    if world_size == 1 or not -len(shape) <= batch_dim < len(shape):
        return draw(*shape, dtype=like.dtype, device=like.device)
    rows = shape[batch_dim]
    whole = list(shape)
    whole[batch_dim] = rows * world_size
    noise = draw(*whole, dtype=like.dtype, device=like.device)
    return noise.narrow(batch_dim, rank * rows, rows)


def all_gather_batch(x: Tensor) -> Tensor:
    """The rows of all processes: (B, ...) -> (B * world_size, ...), differentiable.

    The gradient of a row is summed over the processes that used it. So where each process adds the
    same function of the whole batch to its loss, the average of the processes' gradients, which ddp
    computes, is the gradient of one process with the whole batch.
    """
    return x if _rank_and_world_size[1] == 1 else _Gather.apply(x)


def local_shard(x: Tensor) -> Tensor:
    """This process's rows of a whole batch: (B * world_size, ...) -> (B, ...)."""
    rank, world_size = _rank_and_world_size
    return x if world_size == 1 else x.chunk(world_size)[rank]


def rows_of_all(rows: int) -> int:
    """The number of rows of the whole batch, where each process has `rows`."""
    return rows * _rank_and_world_size[1]


@torch.no_grad()
def mean_over_processes(x: Tensor) -> Tensor:
    """The mean of a tensor over the processes of torch.distributed, without gradient.

    Where each has the mean over its shard, this is the mean over the whole batch.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return x.detach()
    total = x.detach().clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        ctx.split = _rank_and_world_size  # type: ignore[attr-defined]
        parts = [torch.empty_like(x) for _ in range(_rank_and_world_size[1])]
        distributed.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        rank, world_size = ctx.split  # type: ignore[attr-defined]
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total.chunk(world_size)[rank]
