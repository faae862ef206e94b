"""A sweep: all its jobs through a launcher, whatever becomes of one of them."""

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
from vaelab.sweep.launchers.base import Done, Launcher
from vaelab.sweep.progress import Progress
from vaelab.sweep.status import WORDS
from vaelab.terminal import sibling_program

log = logging.getLogger(__name__)

ENDED = (State.FINISHED, State.FAILED, State.INTERRUPTED, State.KILLED, State.PRUNED)


class SweepFailed(UserError):
    """Some jobs of a sweep did not finish."""


def run_sweep(folder: Path, jobs: Sequence[Job], launcher: Launcher) -> None:
    """Run the jobs that are not finished; the folder must be held by `lock_folder`.

    Raises:
        SweepFailed: jobs that did not finish, after all were tried.
    """
    open_jobs = [job for job in jobs if not job.is_complete]
    log.info("%s: %s", folder, counted(jobs))
    for _ in ended(launcher, open_jobs, len(open_jobs)):
        pass
    unfinished = [job for job in jobs if not job.is_complete]
    if unfinished:
        raise SweepFailed(
            f"{len(unfinished)} of {len(jobs)} jobs did not finish, the first of them "
            f"{failure(unfinished[0])}; {sibling_program('sweep')} status {folder} shows them all, "
            "and the same command goes on with them."
        )


def ended(
    launcher: Launcher, jobs: Iterable[Job], total: int | None = None
) -> Iterator[tuple[Job, str]]:
    """Every job with its state as soon as it has ended, shown on the way.

    A job that a process runs already, such as one on another machine, is left to that.

    Args:
        launcher: where they run.
        jobs: taken when there is room for one.
        total: how many, if that is known.
    """
    progress = Progress(total, live=launcher.in_background)
    # For as long as the jobs show themselves; the last log lines come after the view.
    try:
        with progress.shown():
            for done in launcher.launch(progress.starting(_idle(launcher, jobs))):
                state = settle(done)
                progress.ended(done.job, state)
                yield done.job, state
    except (KeyboardInterrupt, SystemExit):
        # Lightning makes an exit of the Ctrl-C that comes while it trains in this process.
        log.warning("the sweep was stopped; the same command goes on with it")
        sys.exit(130)


def _idle(launcher: Launcher, jobs: Iterable[Job]) -> Iterator[Job]:
    for job in jobs:
        if job.state == State.RUNNING and not launcher.finds_running:
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


def settle(done: Done) -> str:
    """The state in which a job has ended, recorded where its process could not."""
    folder = done.job.folder
    status = done.job.status()
    state, here = status["state"], status.get("host") == socket.gethostname()
    if state == State.RUNNING and here and status["pid"] != os.getpid():
        return State.RUNNING  # alive, so it is not the process that has ended
    if state == State.FINISHED and done.reason and not done.job.is_complete:
        # Trained it is; what its evaluation ended of is for the next call to know.
        known = status.get("evaluated", {})
        folder.set_status(State.FINISHED, evaluated=known, error=f"evaluation: {done.reason}")
    if state in (State.FINISHED, State.PRUNED):
        return str(state)
    if state not in ENDED or (done.reason and not status.get("error")):
        state = State.KILLED if state in (State.RUNNING, State.KILLED) else State.FAILED
        folder.set_status(state, error=done.reason or "its process ended without a word")
    return str(state)


def failure(job: Job) -> str:
    """A job that did not finish, and why, in one line."""
    status = job.status()
    error = str(status.get("error", "")).splitlines()
    return f"{job.label} ({status['state']}{': ' + error[0] if error else ''})"


def counted(jobs: Sequence[Job]) -> str:
    """How many jobs are in which state: "9 jobs: 4 finished, 5 planned"."""
    states = Counter(job.state for job in jobs)
    counts = (f"{num} {WORDS.get(state, state)}" for state, num in states.items())
    return f"{len(jobs)} jobs: {', '.join(counts)}"
