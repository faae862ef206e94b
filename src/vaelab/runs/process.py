"""This process: its rank among those of a run, its threads, memory and messages."""

import ctypes
import logging
import os
import platform
import warnings

# Option numbers of mallopt(3) in glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEEP_BYTES = 512 * 2**20
_PAD_BYTES = 64 * 2**20


def is_main_process() -> bool:
    """Whether this process records: the first of those that train one model together.

    Lightning numbers the processes it starts by LOCAL_RANK, torchrun by RANK, SLURM by its own.
    """
    return all(int(os.environ.get(name, 0)) == 0 for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def tune_malloc() -> bool:
    """Make glibc keep freed memory for the next tensor instead of giving it back to the kernel.

    By default glibc maps every large tensor anew and unmaps it when freed, so each activation of
    each step is faulted in page by page. Call it before the first large tensor.

    Returns:
        Whether it was done; False where the C library is another.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    options = (
        (_MMAP_THRESHOLD, _KEEP_BYTES),
        (_TRIM_THRESHOLD, _KEEP_BYTES),
        (_TOP_PAD, _PAD_BYTES),
    )
    return all(mallopt(option, value) == 1 for option, value in options)


def prepare_process(num_threads: int | None) -> None:
    """Set the allocator and the number of threads of torch; None keeps torch's own number."""
    import torch

    tune_malloc()
    if num_threads:
        torch.set_num_threads(num_threads)


def silence_lightning(*, keep_info: bool = False) -> None:
    """Drop Lightning's advertisements, and warnings that do not apply to data in memory.

    Args:
        keep_info: for its profilers and model summary, which are logged as information.
    """
    level = logging.INFO if keep_info else logging.WARNING
    logging.getLogger("pytorch_lightning").setLevel(level)
    rank_zero = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    rank_zero.addFilter(lambda record: "Tip:" not in record.getMessage())
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*The number of training batches.*")
