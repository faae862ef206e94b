"""This process: its place among those of a run, and how it uses memory."""

import ctypes
import os
import platform

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
