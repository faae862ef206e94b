"""What a job computes on: how many devices, which GPUs, how many threads."""

import os
from collections.abc import Sequence
from typing import Literal

from vaelab.errors import require
from vaelab.runs.config import load_config
from vaelab.sweep.jobs import Job


def num_devices(job: Job) -> int:
    """How many devices train the job's model together, as many as processes; 1 where torch says."""
    devices = load_config(job.folder.config).trainer.get("devices", 1)
    if isinstance(devices, int):
        return max(1, devices)
    if isinstance(devices, str):
        return int(devices) if devices.isdigit() else max(1, devices.count(",") + 1)
    return len(devices)


def uses_gpu(job: Job, *, available: bool) -> bool:
    """Whether the job's config names a GPU, or uses one by itself where one is available."""
    accelerator = str(load_config(job.folder.config).trainer.get("accelerator", "auto"))
    return accelerator in ("gpu", "cuda") or (accelerator == "auto" and available)


def thread_environment(
    num_cores: int, num_threads: int | None, num_processes: int
) -> dict[str, str]:
    """The environment variables of a job that may use `num_cores`.

    Two processes of torch that each use all cores slow each other down many times over.

    Args:
        num_cores: of this machine, divided by the number of jobs that run at once.
        num_threads: as set by the user; None for what the environment says, or else the cores.
        num_processes: of the job.
    """
    if num_threads is None and "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(num_threads or max(1, num_cores // num_processes))}


class GPUPool:
    """The GPUs of this machine, each lent to one job at a time.

    Args:
        gpus: "auto" (those visible, for jobs that use a GPU), how many, or their names as in
            CUDA_VISIBLE_DEVICES; the last two are lent to every job.

    Raises:
        UserError: more than this process sees, or one of them twice.
    """

    def __init__(self, gpus: Literal["auto"] | int | Sequence[int | str] = "auto"):
        self.for_all = gpus != "auto"
        if isinstance(gpus, str):
            self.names = _visible_gpus()
        elif isinstance(gpus, int):
            self.names = _first_gpus(gpus)
        else:
            self.names = _check_names([str(name) for name in gpus])
        self._free = list(self.names)

    def acquire(self, job: Job) -> list[str] | None:
        """As many GPUs as the job has devices, or None until so many are free; [] for no GPU.

        Raises:
            LookupError: there are fewer.
        """
        if not (self.for_all and self.names) and not uses_gpu(job, available=bool(self.names)):
            return []
        num = num_devices(job)
        if num > len(self.names):
            raise LookupError(
                f"a job of trainer.devices={num} expects as many GPUs, got {len(self.names)}; set "
                "trainer.devices or hydra.launcher.gpus"
            )
        if num > len(self._free):
            return None
        acquired, self._free = self._free[:num], self._free[num:]
        return acquired

    def release(self, names: list[str]) -> None:
        """Make the GPUs of a job free again."""
        self._free += names


def _first_gpus(number: int) -> list[str]:
    visible = _visible_gpus()
    require(
        0 <= number <= len(visible),
        f"gpus expects as many as this process sees, which is {len(visible)}, got {number}; use "
        "gpus=auto, or let CUDA_VISIBLE_DEVICES show more.",
    )
    return visible[:number]


def _check_names(names: list[str]) -> list[str]:
    require(
        len(set(names)) == len(names),
        f"gpus expects every GPU once, got [{','.join(names)}]; no GPU is lent to two jobs at "
        "once.",
    )
    shown = _cuda_visible_devices()
    require(
        shown is None or set(names) <= set(shown),
        f"gpus expects GPUs that CUDA_VISIBLE_DEVICES={','.join(shown or ())} shows, got "
        f"[{','.join(names)}]; name those, or let it show more.",
    )
    return names


def _cuda_visible_devices() -> list[str] | None:
    """The GPUs that the environment variable names; None where it is not set."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return None
    return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]


def _visible_gpus() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    shown = _cuda_visible_devices()
    if shown is not None:
        return shown
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
