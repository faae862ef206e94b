"""Several jobs at once on this machine, each in a process of its own."""

import threading
from collections.abc import Iterable, Iterator
from typing import Literal

import joblib

from vaelab.errors import require
from vaelab.sweep.jobs import Job
from vaelab.sweep.launchers.base import Done, Launcher
from vaelab.sweep.launchers.devices import GPUs, num_devices, thread_settings
from vaelab.sweep.launchers.processes import Processes


class Local(Launcher):
    """As many jobs at once as there are cores, GPUs and memory for.

    joblib's threads wait for the processes. Its own processes (loky) are not used: where one of
    them is killed, all the jobs are lost.

    Args:
        num_jobs: at most at once; -1 for the cores that joblib counts, which respects containers.
        num_threads: of torch in each job; None for OMP_NUM_THREADS or else cores / num_jobs.
        gpus: "auto" (those there are, for jobs with trainer.accelerator gpu or auto), how many, or
            a list of their names as in CUDA_VISIBLE_DEVICES. Every job gets as many as it has
            devices.
        memory_gb: what one job may take, in 10^9 bytes; None for what there is.
    """

    def __init__(
        self,
        num_jobs: int = -1,
        num_threads: int | None = None,
        gpus: Literal["auto"] | int | list[int | str] = "auto",
        memory_gb: float | None = None,
    ):
        require(
            num_jobs == -1 or num_jobs >= 1,
            f"hydra.launcher.num_jobs expects 1 or more, or -1 for all cores, got {num_jobs}.",
        )
        self.num_jobs = joblib.cpu_count() if num_jobs == -1 else num_jobs
        self.num_cores = max(1, joblib.cpu_count() // self.num_jobs)
        self.num_threads = num_threads
        self.memory_gb = memory_gb
        self.gpus = GPUs(gpus)

    def launch(self, jobs: Iterable[Job]) -> Iterator[Done]:
        jobs, taking = iter(jobs), threading.Lock()
        processes = Processes(self.memory_gb)
        # joblib asks for the next task before the last one was dealt with, but a search wants to
        # know its result first: so the tasks are slots, and a slot is free once its job was told.
        free = threading.Semaphore(self.num_jobs)
        over = threading.Event()

        def fill() -> Done | None:
            free.acquire()
            with taking:
                processes.wait_for_room()
                job = None if over.is_set() else next(jobs, None)
                if job is None:
                    processes.leave_room()
                    over.set()
                    return None
                try:
                    gpus = self.gpus.take(job)
                except LookupError as error:
                    processes.leave_room()
                    return Done(job, str(error))
            try:
                return Done(job, processes.run(job, self._environment(job, gpus)))
            finally:
                self.gpus.give_back(gpus)

        slots = iter(lambda: None if over.is_set() else joblib.delayed(fill)(), None)
        run = joblib.Parallel(
            self.num_jobs, backend="threading", return_as="generator_unordered",
            pre_dispatch="n_jobs", batch_size=1,
        )  # fmt: skip
        results = run(slots)
        try:
            for done in results:
                if done is not None:
                    yield done
                free.release()
        finally:
            over.set()
            processes.stop()
            self.gpus.close()
            free.release(self.num_jobs)
            for _ in results:
                free.release()

    def _environment(self, job: Job, gpus: list[str]) -> dict[str, str]:
        threads = thread_settings(self.num_cores, self.num_threads, num_devices(job))
        # Also where every job is to have none.
        shown = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus or self.gpus.for_all else {}
        return threads | shown
