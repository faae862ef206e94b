"""What a job computes on: how many devices, which GPUs, how many threads."""

import os
import threading
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


def wants_gpu(job: Job, *, there: bool) -> bool:
    """Whether the job's config names a GPU, or takes one by itself where there is one."""
    accelerator = str(load_config(job.folder.config).trainer.get("accelerator", "auto"))
    return accelerator in ("gpu", "cuda") or (accelerator == "auto" and there)


def thread_settings(num_cores: int, num_threads: int | None, num_processes: int) -> dict[str, str]:
    """The environment of a job that may use `num_cores`.

    Two processes of torch that each use all cores slow each other down many times over.

    Args:
        num_cores: of this machine, divided by the jobs that run at once.
        num_threads: what was asked for; None for what the environment says, or else the cores.
        num_processes: of the job.
    """
    if num_threads is None and "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(num_threads or max(1, num_cores // num_processes))}


class GPUs:
    """The GPUs of this machine, lent to jobs.

    Args:
        chosen: "auto" (those there are, for jobs that use a GPU), how many, or their names as in
            CUDA_VISIBLE_DEVICES; the last two are lent to every job.

    Raises:
        UserError: more than this process sees, or one of them twice.
    """

    def __init__(self, chosen: Literal["auto"] | int | Sequence[int | str] = "auto"):
        self.for_all = chosen != "auto"
        if isinstance(chosen, str):
            self.names = _visible()
        elif isinstance(chosen, int):
            self.names = _first(chosen)
        else:
            self.names = _named([str(name) for name in chosen])
        self._free = list(self.names)
        self._changed = threading.Condition()
        self._closed = False

    def take(self, job: Job) -> list[str]:
        """As many as the job has devices, as soon as they are free; [] for a job without.

        Raises:
            LookupError: there are fewer.
        """
        if not (self.for_all and self.names) and not wants_gpu(job, there=bool(self.names)):
            return []
        num = num_devices(job)
        if num > len(self.names):
            raise LookupError(
                f"a job of trainer.devices={num} expects as many GPUs, got {len(self.names)}; set "
                "trainer.devices or hydra.launcher.gpus"
            )
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._free) >= num)
            taken, self._free = self._free[:num], self._free[num:]
            return taken

    def give_back(self, names: list[str]) -> None:
        """They are free again."""
        with self._changed:
            self._free += names
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _first(number: int) -> list[str]:
    visible = _visible()
    require(
        0 <= number <= len(visible),
        f"hydra.launcher.gpus expects as many as this process sees, which is {len(visible)}, got "
        f"{number}; use gpus=auto, or let CUDA_VISIBLE_DEVICES show more.",
    )
    return visible[:number]


def _named(names: list[str]) -> list[str]:
    require(
        len(set(names)) == len(names),
        f"hydra.launcher.gpus expects every GPU once, got [{','.join(names)}]; no GPU is lent to "
        "two jobs at once.",
    )
    shown = _shown()
    require(
        shown is None or set(names) <= set(shown),
        f"hydra.launcher.gpus expects GPUs that CUDA_VISIBLE_DEVICES={','.join(shown or ())} "
        f"shows, got [{','.join(names)}]; name those, or let it show more.",
    )
    return names


def _shown() -> list[str] | None:
    """What CUDA_VISIBLE_DEVICES names; None where it is not set."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return None
    return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]


def _visible() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    shown = _shown()
    if shown is not None:
        return shown
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
