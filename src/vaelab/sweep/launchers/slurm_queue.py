"""What SLURM says of the jobs of a sweep: which are queued, how those that left have ended."""

import hashlib
import json
import logging
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from vaelab.errors import UserError
from vaelab.sweep.jobs import Job

log = logging.getLogger(__name__)

RECORD = "slurm.json"  # in the run folder: the number of its job, and the file with its output
UNKNOWN = "UNKNOWN"
ENDED = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "REVOKED", "TIMEOUT", UNKNOWN),
)
# What SLURM writes into a job's output; without a memory cgroup it is the only sign.
OUT_OF_MEMORY = re.compile(r"exceeded (job )?memory limit|oom.kill|out.of.memory", re.IGNORECASE)


class Queue:
    """The user's jobs on the cluster: number -> (state, name).

    submitit asks the accounting of the cluster alone: where there is none, its state of a job that
    was cancelled or ran out of memory stays UNKNOWN and the job never counts as ended.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[str, str]] = {}

    def update(self) -> None:
        """Ask SLURM.

        Raises:
            UserError: it can't be asked.
        """
        try:
            lines = _run("squeue", "--me", "--noheader", "--states=all", "--format=%i|%T|%j")
        except (OSError, subprocess.SubprocessError) as error:
            answer = str(getattr(error, "stderr", None) or error).strip().splitlines()
            raise UserError(
                f"hydra/launcher=slurm expects a machine that can submit to a cluster, got: "
                f"{answer[-1]}; type it on a login node, or use hydra/launcher=local."
            ) from error
        rows = (line.split("|", 2) for line in lines)
        self.jobs = {number: (state, name) for number, state, name in rows}

    def try_to_update(self, numbers: Iterable[str]) -> bool:
        """Ask SLURM again, and its accounting for those of `numbers` that it has forgotten."""
        before = self.jobs
        try:
            self.update()
        except UserError as error:  # a restart of slurmctld ends no sweep
            log.warning("%s Asked again in a while.", error)
            return False
        lost = [number for number in numbers if number not in self.jobs]
        if lost:
            try:
                options = ("--noheader", "--parsable2", "--allocations", "--format=JobID,State")
                for line in _run("sacct", *options, f"--jobs={','.join(lost)}"):
                    number, state = line.split("|")
                    self.jobs[number] = (state.split()[0], "")  # "CANCELLED by 1000"
            except (OSError, subprocess.SubprocessError):
                # A cluster without accounting. The last known state may have been the final one.
                self.jobs |= {n: before[n] for n in lost if before.get(n, ("",))[0] in ENDED}
        return True

    def state(self, number: str) -> str:
        """SLURM's word for the state of a job."""
        return self.jobs.get(number, (UNKNOWN, ""))[0]

    def find(self, job: Job) -> str | None:
        """The number of a job that is queued or running, or None."""
        for number, (state, name) in self.jobs.items():
            if name == job_name(job) and state not in ENDED:
                return number
        return None


def job_name(job: Job) -> str:
    """A name unique to a run folder; by it a job is found again if the sweep was killed."""
    place = hashlib.sha256(str(job.path.resolve()).encode()).hexdigest()[:6]
    return f"vaelab-{job.id}-{place}"


def end_reason(job: Job, state: str, timeout_min: int, mem_gb: float | None) -> str | None:
    """Why a job ended, where its run folder can't know: a sentence, with what to do."""
    facts = json.loads((job.path / RECORD).read_text()) if (job.path / RECORD).exists() else {}
    number, output = facts.get("job_id", "?"), Path(facts.get("log", job.path / "train.log"))
    tail = output.read_text(errors="replace")[-4000:] if output.exists() else ""
    if state == "OUT_OF_MEMORY" or (state == "FAILED" and OUT_OF_MEMORY.search(tail)):
        limit = "the cluster's default" if mem_gb is None else f"hydra.launcher.mem_gb={mem_gb:g}"
        return f"SLURM killed job {number} since it took more memory than {limit}; allow it more."
    if state == "COMPLETED":
        return None
    advice = {
        "TIMEOUT": f"raise hydra.launcher.timeout_min={timeout_min}, or signal_delay_s if it had "
        "no time to save",
        "NODE_FAIL": "its machine failed; type the command again",
        "BOOT_FAIL": "its machine did not start; type the command again",
        "CANCELLED": "it was ended by scancel; type the command again to resume it",
        "PREEMPTED": "it had to make room and the cluster did not requeue it; type the command "
        "again to resume it",
        UNKNOWN: f"it is no longer there, and the cluster has no accounting; see {output}",
    }
    return f"SLURM says {state} of job {number}: {advice.get(state, f'see {output}')}."


def _run(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.splitlines()
