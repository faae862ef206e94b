"""Several jobs at once on this machine, each in a separate process."""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Literal

from vaelab.errors import require
from vaelab.sweep.jobs import Job
from vaelab.sweep.launchers.base import FinishedJob, Launcher
from vaelab.sweep.launchers.devices import GPUPool, num_devices, thread_environment
from vaelab.sweep.launchers.processes import POLL_SECONDS, JobProcesses
from vaelab.sweep.launchers.resources import num_cores


class Local(Launcher):
    """As many jobs at once as there are cores, GPUs and memory for.

    The threads of a pool wait for the processes of the jobs. A pool of processes would not do:
    where one of its workers is killed, all the jobs are lost.

    Args:
        num_jobs: at most at once; -1 for the number of cores that this process may use.
        num_threads: of torch in each job; None for OMP_NUM_THREADS or else cores / num_jobs.
        gpus: "auto" (those visible, for jobs with trainer.accelerator gpu or auto), how many, or
            a list of their names as in CUDA_VISIBLE_DEVICES. Every job gets as many as it has
            devices.
        memory_gb: what one job may take, in 10^9 bytes; None for what there is.

    Raises:
        UserError: num_jobs is out of range, or GPUs that can't be used.
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
            f"num_jobs expects 1 or more, or -1 for all cores, got {num_jobs}; try 2.",
        )
        cores = num_cores()
        self.num_jobs = cores if num_jobs == -1 else num_jobs
        self.cores_per_job = max(1, cores // self.num_jobs)
        self.num_threads = num_threads
        self.memory_gb = memory_gb
        self.gpus = GPUPool(gpus)

    def launch(self, jobs: Iterable[Job]) -> Iterator[FinishedJob]:
        jobs, pool = iter(jobs), ThreadPoolExecutor(self.num_jobs)
        processes = JobProcesses(self.memory_gb)
        running: dict[Future[str | None], tuple[Job, list[str]]] = {}
        next_job: Job | None = None  # taken, and waiting for GPUs
        try:
            while True:
                while len(running) < self.num_jobs and processes.has_room(len(running)):
                    next_job = next_job or next(jobs, None)
                    if next_job is None:
                        break
                    try:
                        gpus = self.gpus.acquire(next_job)
                    except LookupError as error:
                        yield FinishedJob(next_job, str(error))
                        next_job = None
                        continue
                    if gpus is None:
                        break
                    environment = self._environment(next_job, gpus)
                    running[pool.submit(processes.run, next_job, environment)] = (next_job, gpus)
                    next_job = None
                if not running:
                    return
                # No longer than until memory may have become free.
                for future in wait(running, POLL_SECONDS, FIRST_COMPLETED).done:
                    job, gpus = running.pop(future)
                    self.gpus.release(gpus)
                    yield FinishedJob(job, future.result())
        finally:
            processes.stop()
            pool.shutdown()

    def _environment(self, job: Job, gpus: list[str]) -> dict[str, str]:
        threads = thread_environment(self.cores_per_job, self.num_threads, num_devices(job))
        # Also where every job is to have none.
        visible = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus or self.gpus.for_all else {}
        return threads | visible
