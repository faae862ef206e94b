"""Jobs on a SLURM cluster, submitted by submitit."""

import logging
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vaelab.errors import UserError, require
from vaelab.files import write_json
from vaelab.runs.signals import Terminated
from vaelab.runs.status import State
from vaelab.sweep.jobs import Job
from vaelab.sweep.launchers.base import FinishedJob, Launcher
from vaelab.sweep.launchers.slurm_queue import ENDED, RECORD, Queue, end_reason, job_name

log = logging.getLogger(__name__)

LOGS = ".slurm"  # in the sweep's folder
# While Python starts: SLURM requeues a job that it has to kill, and none that SIGTERM ends at once.
IGNORE_SIGTERM = """bash -c 'trap "" TERM; exec "$0" "$@"' """
SLOW_DISK_SECONDS = 60.0  # until a shared disk shows what another machine wrote


class Slurm(Launcher):
    """Every job is a job of SLURM, which resumes where it was when it is preempted or times out.

    No arrays: an array is submitted whole, and a search knows its next job when one has ended.
    Jobs that are in the queue already, since the sweep's own process was killed, are waited for.

    Args: see conf/hydra/launcher/slurm.yaml.

    Raises:
        UserError: num_jobs is out of range.
    """

    can_reattach = True

    def __init__(
        self,
        num_jobs: int | None = None,
        *,
        timeout_min: int = 60,
        max_num_timeout: int = 10,
        signal_delay_s: int = 120,
        cpus_per_task: int = 1,
        gpus_per_node: int | None = None,
        mem_gb: float | None = None,
        nodes: int = 1,
        tasks_per_node: int = 1,
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        setup: Sequence[str] = (),
        poll_seconds: float = 10.0,
        additional_parameters: Mapping[str, Any] | None = None,
    ):
        require(
            num_jobs is None or num_jobs >= 1,
            f"num_jobs expects 1 or more, or null for all at once, got {num_jobs}; try 4.",
        )
        self.num_jobs, self.poll_seconds = num_jobs, poll_seconds
        self.timeout_min, self.max_num_timeout, self.mem_gb = timeout_min, max_num_timeout, mem_gb
        # One signal for preemption and for the end of the time, and room for the checkpoint.
        options = {"requeue": True, "signal": f"TERM@{signal_delay_s}", "account": account}
        options |= {"qos": qos, "partition": partition} | dict(additional_parameters or {})
        self.parameters = {
            "time": timeout_min,
            "cpus_per_task": cpus_per_task,
            "gpus_per_node": gpus_per_node,
            "mem": f"{round(mem_gb * 1024)}MB" if mem_gb else None,
            "nodes": nodes,
            "ntasks_per_node": tasks_per_node,
            "stderr_to_stdout": True,
            "setup": [f"export OMP_NUM_THREADS={cpus_per_task}", *setup],
            # Since SLURM 22.05 srun does not take it from the job.
            "srun_args": [f"--cpus-per-task={cpus_per_task}"],
            "additional_parameters": {k: v for k, v in options.items() if v is not None},
        }

    def launch(self, jobs: Iterable[Job]) -> Iterator[FinishedJob]:
        waiting, queue = iter(jobs), Queue()
        queue.update()
        running: dict[str, Job] = {}
        rejected: Job | None = None
        try:
            while True:
                while self.num_jobs is None or len(running) < self.num_jobs:
                    job, rejected = rejected or next(waiting, None), None
                    if job is None:
                        break
                    number = self._reattach(queue, job)
                    if number is None and job.state() == State.RUNNING:
                        log.warning("%s is left to the process that runs it", job.label)
                        continue
                    try:
                        running[number or self._submit(job)] = job
                    except UserError as error:
                        if not running:
                            raise
                        # Such as a limit of how many one may submit, for which there is room later.
                        log.warning("%s Tried again when a job has ended.", error)
                        rejected = job
                        break
                if not running:
                    return
                ended = self._wait(queue, running)
                for number in ended:
                    yield self._finish(running.pop(number), queue.state(number))
        finally:
            if running:
                log.warning(
                    "%d jobs stay in the queue; the same command waits for them, and this ends "
                    "them: scancel %s", len(running), " ".join(running),
                )  # fmt: skip

    def _reattach(self, queue: Queue, job: Job) -> str | None:
        """The number of a job that an earlier process of this sweep has submitted, or None."""
        number = queue.find(job)
        if number:
            log.info("job %s, in the queue already: %s", number, job.label)
        return number

    def _submit(self, job: Job) -> str:
        """Submit a job; its number in SLURM."""
        executor = _build_executor(job.path.parent / LOGS, self.max_num_timeout)
        from vaelab.sweep.launchers.slurm_job import SlurmRun  # here, since it imports submitit

        executor.update_parameters(
            job_name=job_name(job), **{k: v for k, v in self.parameters.items() if v is not None}
        )
        path = job.path.resolve()
        try:
            submitted = executor.submit(SlurmRun(), str(path))
        except Exception as error:  # submitit's, around what sbatch printed
            printed = str(error).strip().splitlines() or [""]
            raise UserError(
                f"sbatch expects settings that the cluster allows, got: {printed[-1]}; change "
                "hydra.launcher.<partition, account, timeout_min, ...>."
            ) from error
        number = str(submitted.job_id)
        write_json(path / RECORD, {"job_id": number, "log": str(submitted.paths.stdout)})
        log.info("job %s: %s", number, job.label)
        return number

    def _wait(self, queue: Queue, running: Mapping[str, Job]) -> list[str]:
        """Wait until jobs have left the queue; their numbers."""
        while True:
            time.sleep(self.poll_seconds)
            if queue.try_to_update(running):
                ended = [number for number in running if queue.state(number) in ENDED]
                if ended:
                    return ended

    def _finish(self, job: Job, state: str) -> FinishedJob:
        deadline = time.monotonic() + SLOW_DISK_SECONDS
        while state == "COMPLETED" and not job.is_complete() and time.monotonic() < deadline:
            time.sleep(1)
        reason = end_reason(job, state, self.timeout_min, self.mem_gb)
        if reason and job.folder.status().get("error") == Terminated.__name__:
            job.folder.set_status(State.INTERRUPTED, error=reason)  # says who sent the signal
        return FinishedJob(job, reason)


def _build_executor(folder: Path, max_num_timeout: int) -> Any:
    try:
        from submitit import SlurmExecutor
    except ImportError:
        raise UserError(
            "hydra/launcher=slurm expects submitit, got none; pip install 'vaelab[slurm]'."
        ) from None
    python = IGNORE_SIGTERM + shlex.quote(sys.executable)
    return SlurmExecutor(folder.resolve(), max_num_timeout, python=python)
