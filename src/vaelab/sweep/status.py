"""The states of the jobs of a sweep, read from their folders: scripts/sweep.py status."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vaelab.errors import UserError
from vaelab.runs.status import State
from vaelab.sweep.jobs import Job, read_jobs
from vaelab.terminal import beside_python

UNEVALUATED = "unevaluated"  # trained, without all the metrics that its config asks for
# In the order of the listing: what needs attention first.
ORDER = (
    *(State.RUNNING, State.FAILED, State.KILLED, State.INTERRUPTED, State.OUT_OF_TIME),
    *(State.PRUNED, State.PLANNED, UNEVALUATED, State.STOPPED_EARLY, State.FINISHED),
)
SHORTENED = (State.PLANNED, State.STOPPED_EARLY, State.FINISHED)
MAX_LISTED = 20  # of these, without --all
MAX_COMMANDS = 3
# How a run says that it was asked to stop, and how a reader does.
SIGNALS = {
    "Terminated": "by Ctrl-C or SIGTERM",
    "SystemExit": "by Ctrl-C",
    "KeyboardInterrupt": "by Ctrl-C",
}


def main(argv: Sequence[str]) -> int:
    """Run the command line; 0 where all jobs are finished, else 1.

    Raises:
        UserError: the folder is not a sweep's.
    """
    parser = argparse.ArgumentParser(description="Show the states of the jobs of a sweep.")
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="which jobs are planned, running, finished, failed")
    status.add_argument("folder", type=Path, help="such as outputs/main/sweep")
    status.add_argument("--all", action="store_true", help="list every job, however many there are")
    options = parser.parse_args(argv)
    jobs = find_jobs(options.folder)
    print("\n".join(list_jobs(jobs, everything=options.all)))
    return 0 if all(job.is_complete() for job in jobs) else 1


def find_jobs(folder: Path) -> list[Job]:
    """The jobs of a sweep, given its folder or the one above.

    Raises:
        UserError: there is none.
    """
    for place in (folder, folder / "sweep"):
        jobs = list(read_jobs(place).values())
        if jobs:
            return jobs
    raise UserError(
        f"status expects the folder of a sweep, got {folder}, which holds no jobs; name the one "
        "that train.py -m printed, such as outputs/main/sweep."
    )


def list_jobs(jobs: Sequence[Job], *, everything: bool = False) -> Iterator[str]:
    """The lines of the listing: counts, one line per job, and the commands that resume them."""
    by_state: dict[str, list[tuple[Job, dict[str, Any]]]] = {state: [] for state in ORDER}
    incomplete = []
    for job in jobs:
        status, is_complete = job.status(), job.is_complete()
        is_unevaluated = status["state"].is_done and not is_complete
        by_state[UNEVALUATED if is_unevaluated else status["state"]].append((job, status))
        if not is_complete:
            incomplete.append(job)
    counts = [f"{len(members)} {state}" for state, members in by_state.items() if members]
    yield f"{jobs[0].path.parent}: {len(jobs)} jobs: {', '.join(counts)}"
    labels = dict(zip((job.id for job in jobs), _labels(jobs), strict=True))
    width = max(map(len, labels.values()))
    for state, members in by_state.items():
        is_short = state in SHORTENED and not everything
        listed = members[:MAX_LISTED] if is_short else members
        for job, status in listed:
            yield f"  {state:<13} {labels[job.id]:<{width}}  {_detail(job, status)}".rstrip()
        if len(members) > len(listed):
            yield f"  {state:<13} and {len(members) - len(listed)} more; --all lists them"
    commands = dict.fromkeys(job.folder.read_job().get("command", "") for job in incomplete)
    for command in list(commands)[:MAX_COMMANDS]:
        yield f"resume with  {beside_python('python') + ' ' if '.py ' in command else ''}{command}"
    if len(commands) > MAX_COMMANDS:
        yield f"             and {len(commands) - MAX_COMMANDS} other commands that planned them"


def _labels(jobs: Sequence[Job]) -> list[str]:
    """What distinguishes the jobs of a folder, which several commands may have planned."""
    overrides = [job.folder.read_job()["overrides"] for job in jobs]
    shared = set.intersection(*map(set, overrides))
    own = [" ".join(one for one in every if one not in shared) for every in overrides]
    return [label or job.id for label, job in zip(own, jobs, strict=True)]


def _detail(job: Job, status: dict[str, Any]) -> str:
    """The error of a job, its score and time, or how far it is."""
    if status.get("error"):
        error = str(status["error"])
        return SIGNALS.get(error, error).splitlines()[0]
    if status["state"].is_done:
        metrics = job.folder.read_metrics()
        name = "val/elbo" if "val/elbo" in metrics else "val/reconstruction"
        value = f"{name} {metrics[name]:.2f}" if name in metrics else ""
        seconds = f"{metrics['seconds']:,.0f} s" if "seconds" in metrics else ""
        return "  ".join(part for part in (value, seconds) if part)
    if "step" in status:
        of = f" of {status['num_steps']:,}" if "num_steps" in status else ""
        return f"step {status['step']:,}{of}"
    return ""
