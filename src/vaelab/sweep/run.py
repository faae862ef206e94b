"""Running a sweep: all its jobs through a launcher, whether or not one of them fails."""

import logging
import os
import socket
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig

from vaelab import build
from vaelab.errors import UserError, require
from vaelab.runs.status import State
from vaelab.sweep.jobs import Job
from vaelab.sweep.launchers.base import FinishedJob, Launcher
from vaelab.sweep.progress import Progress
from vaelab.terminal import sibling_program

log = logging.getLogger(__name__)


class SweepFailed(UserError):
    """Some jobs of a sweep did not finish."""


def run_sweep(folder: Path, jobs: Sequence[Job], launcher: Launcher) -> None:
    """Run the jobs that are not finished; `lock_folder` must hold the folder.

    Raises:
        SweepFailed: jobs that did not finish, after all were tried.
    """
    open_jobs = [job for job in jobs if not job.is_complete()]
    states = Counter(job.state() for job in jobs)
    counts = ", ".join(f"{num} {state}" for state, num in states.items())
    log.info("%s: %d jobs: %s", folder, len(jobs), counts)
    for _ in run_jobs(launcher, open_jobs, len(open_jobs)):
        pass
    unfinished = [job for job in jobs if not job.is_complete()]
    if unfinished:
        raise SweepFailed(
            f"{len(unfinished)} of {len(jobs)} jobs did not finish, the first of them "
            f"{describe_failure(unfinished[0])}; {sibling_program('sweep')} status {folder} lists "
            "them all, and the same command resumes them."
        )


def run_jobs(
    launcher: Launcher, jobs: Iterable[Job], total: int | None = None
) -> Iterator[tuple[Job, State]]:
    """Run the jobs and show their progress; yield each with its state as soon as it has ended.

    A job that a process runs already, such as one on another machine, is left to that.

    Args:
        launcher: where they run.
        jobs: taken when there is room for one.
        total: how many, if that is known.
    """
    progress = Progress(total, live=launcher.in_background)
    # For as long as the jobs show themselves; the last log lines come after the view.
    try:
        with progress.display():
            for finished in launcher.launch(progress.track(_skip_running(launcher, jobs))):
                state = final_state(finished)
                progress.finish(finished.job, state)
                yield finished.job, state
    except (KeyboardInterrupt, SystemExit):
        # Lightning makes an exit of the Ctrl-C that comes while it trains in this process.
        log.warning("the sweep was stopped; the same command resumes it")
        sys.exit(130)


def _skip_running(launcher: Launcher, jobs: Iterable[Job]) -> Iterator[Job]:
    for job in jobs:
        if job.state() == State.RUNNING and not launcher.can_reattach:
            log.warning("%s is left to the process that runs it", job.label)
        else:
            yield job


def build_launcher(cfg: DictConfig) -> Launcher:
    """The launcher of hydra/launcher=.

    Raises:
        UserError: it is none of vaelab's.
    """
    target = str(cfg.get("_target_"))
    require(
        not target.startswith("hydra"),
        f"-m expects a launcher of vaelab, got {target}; use hydra/launcher=serial, local, slurm "
        "or ray.",
    )
    return build.build(cfg)


def final_state(finished: FinishedJob) -> State:
    """The state in which a job has ended, recorded here where its process could not."""
    job, reason = finished
    folder, status = job.folder, job.status()
    state, is_here = status["state"], status.get("host") == socket.gethostname()
    if state == State.RUNNING and is_here and status["pid"] != os.getpid():
        return State.RUNNING  # alive, so it is not the process that has ended
    if state.is_done:
        if reason and not job.is_complete():
            # It is trained; the next sweep tries what is missing of its evaluation.
            known = status.get("evaluated", {})
            folder.set_status(state, evaluated=known, error=f"evaluation: {reason}")
        return state
    if not state.has_ended or (reason and not status.get("error")):
        state = State.KILLED if state in (State.RUNNING, State.KILLED) else State.FAILED
        folder.set_status(state, error=reason or "its process ended without a word")
    return state


def describe_failure(job: Job) -> str:
    """A job that did not finish, and why, in one line."""
    status = job.status()
    error = str(status.get("error", "")).splitlines()
    return f"{job.label} ({status['state']}{': ' + error[0] if error else ''})"
