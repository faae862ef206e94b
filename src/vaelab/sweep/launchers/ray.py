"""Jobs on the machines of a Ray cluster."""

import dataclasses
import importlib
import os
import socket
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from vaelab.errors import UserError, require_range
from vaelab.runs.status import State
from vaelab.sweep.jobs import Job
from vaelab.sweep.launchers.base import FinishedJob, Launcher
from vaelab.sweep.launchers.devices import num_devices, thread_environment, uses_gpu
from vaelab.sweep.launchers.processes import run_in_process
from vaelab.sweep.parent_watchdog import GRACE_SECONDS

CONNECT_SECONDS = 5.0
LOCAL = "local"
# Environment variables of the sweep that its jobs need.
PASSED_ON = ("PYTHONPATH", "VAELAB_DATA_DIR")


class Ray(Launcher):
    """Jobs as tasks of Ray, which finds a machine for each and tries again where one is lost.

    The run folders must be on a file system that all machines see under the same path.

    Args:
        address: of the head, such as 10.0.0.1:6379; "auto" for the cluster of this machine; "local"
            for a private one, which ends with the sweep.
        num_jobs: at most at once; None for as many as the cluster has room for.
        num_cpus: cores of each job, which are its threads.
        memory_gb: what one job may take, in 10^9 bytes; Ray keeps that free for it.
        num_tries: how often a job is started whose machine or process is lost.

    Raises:
        UserError: num_tries is out of range.
    """

    def __init__(
        self,
        address: str = LOCAL,
        num_jobs: int | None = None,
        num_cpus: int = 1,
        memory_gb: float | None = None,
        num_tries: int = 3,
    ):
        require_range("num_tries", num_tries, at_least=1, integer=True, example=3)
        self.address, self.num_jobs, self.num_cpus = address, num_jobs, num_cpus
        self.memory_gb, self.num_tries = memory_gb, num_tries

    def launch(self, jobs: Iterable[Job]) -> Iterator[FinishedJob]:
        ray = _connect(self.address)
        jobs = iter(jobs)
        running: dict[Any, Job] = {}
        try:
            while True:
                while len(running) < self._max_running(ray) and (job := next(jobs, None)):
                    running[self._submit(ray, job)] = job
                if not running:
                    return
                # A second at most, since machines may join meanwhile.
                for ref in ray.wait(list(running), timeout=1.0)[0]:
                    yield FinishedJob(running.pop(ref), _wait_for_reason(ray, ref))
        finally:
            for ref in running:
                ray.cancel(ref)  # interrupts `_run`, which asks the job to save its state and end
            if running:
                ray.wait(list(running), num_returns=len(running), timeout=GRACE_SECONDS)
            ray.shutdown()

    def _max_running(self, ray: Any) -> int:
        if self.num_jobs is not None:
            return self.num_jobs
        return max(1, int(ray.cluster_resources().get("CPU", 0)) // self.num_cpus)

    def _submit(self, ray: Any, job: Job) -> Any:
        job = dataclasses.replace(job, path=job.path.absolute())
        needs = self._needs(ray, job)
        task = ray.remote(max_calls=1)(_run).options(
            num_cpus=needs["CPU"],
            num_gpus=needs["GPU"],
            memory=needs["memory"] or None,
            max_retries=self.num_tries - 1,
            name=job.label,
        )
        return task.remote(job, self._environment(job), os.getcwd(), self.memory_gb)

    def _environment(self, job: Job) -> dict[str, str]:
        # Not the OMP_NUM_THREADS set here: it is this machine's, where the job may not run.
        num_threads = max(1, self.num_cpus // num_devices(job))
        return {
            **_passed_on(),
            **thread_environment(self.num_cpus, num_threads, num_devices(job)),
            # The same at every try: a try that finds it in status.json knows that the one before
            # is gone.
            "VAELAB_TASK": f"ray-{uuid.uuid4().hex[:12]}",
        }

    def _needs(self, ray: Any, job: Job) -> dict[str, float]:
        """What Ray reserves for a job."""
        has_gpu = ray.cluster_resources().get("GPU", 0) >= 1
        return {
            "CPU": self.num_cpus,
            "GPU": num_devices(job) if uses_gpu(job, available=has_gpu) else 0,
            "memory": int((self.memory_gb or 0) * 1e9),
        }


def _run(job: Job, environment: dict[str, str], cwd: str, memory_gb: float | None) -> str | None:
    """Run a job on one of the machines; the reason of its end, if its folder can't know that.

    In a separate process: one that runs out of memory takes no worker of Ray with it, and a job
    of several devices can start further ones.
    """
    if not job.folder.config.exists():
        return (
            f"{socket.gethostname()} sees no {job.path}: the run folders must be on a file system "
            "that all machines of the cluster see under the same path"
        )
    end = time.monotonic() + GRACE_SECONDS
    while _is_running_here(job) and time.monotonic() < end:
        time.sleep(0.5)  # the previous try was asked to stop and is saving its state
    return run_in_process(job, environment, cwd, memory_gb)


def _is_running_here(job: Job) -> bool:
    status = job.folder.status()
    return status["state"] == State.RUNNING and status["host"] == socket.gethostname()


def _wait_for_reason(ray: Any, ref: Any) -> str | None:
    """The reason of the end of a job; see `_run`."""
    try:
        return ray.get(ref)
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [""]
        return f"Ray lost the job ({type(error).__name__}): {lines[0]}"


def _connect(address: str) -> Any:
    """Import the library and connect it to the cluster.

    Raises:
        UserError: it is not installed, or nothing answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        raise UserError(
            "hydra/launcher=ray expects the package ray, which is not installed; "
            "pip install 'vaelab[ray]'."
        ) from None
    _check_reachable(address)
    own = {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(
            address=address,
            runtime_env={"env_vars": _passed_on()},
            log_to_driver=False,
            logging_level="ERROR",
            **own,
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise _unreachable(address, error) from error
    return ray


def _passed_on() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


def _check_reachable(address: str) -> None:
    """Reject an address where nothing listens; Ray itself tries for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # "auto", "local"
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> UserError:
    text = " ".join(str(error).split())[:200]
    return UserError(
        f"hydra.launcher.address expects a Ray cluster that answers, got {address} ({text}); start "
        "one by `ray start --head --port=6379`, or use hydra.launcher.address=local."
    )
