"""What has become of the jobs of a sweep, from their folders: scripts/sweep.py status."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vaelab.errors import UserError
from vaelab.sweep.jobs import Job, command_of, overrides_of, recorded
from vaelab.terminal import beside_python

# In the order of the listing; a job that is planned and has not begun is missing.
WORDS = {
    "running": "running",
    "failed": "failed",
    "killed": "killed",
    "interrupted": "interrupted",
    "pruned": "pruned",
    "planned": "missing",
    "unscored": "not scored",  # trained, without all the metrics asked for
    "finished": "finished",
}
LISTED = 20  # of the finished and the missing, without --all
COMMANDS = 3
# What ends a run that is asked to end, in words.
SIGNALS = {"Terminated": "by Ctrl-C or SIGTERM", "SystemExit": "by Ctrl-C"} | {
    "KeyboardInterrupt": "by Ctrl-C"
}


def main(argv: Sequence[str]) -> int:
    """The command line; 0 where all jobs are finished, else 1.

    Raises:
        UserError: no sweep lies there.
    """
    parser = argparse.ArgumentParser(description="What has become of the jobs of a sweep.")
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="finished, running, failed and missing jobs")
    status.add_argument("folder", type=Path, help="such as outputs/main/sweep")
    status.add_argument("--all", action="store_true", help="every job, however many there are")
    options = parser.parse_args(argv)
    jobs = find_jobs(options.folder)
    print("\n".join(lines(jobs, everything=options.all)))
    return 0 if all(job.is_complete for job in jobs) else 1


def find_jobs(folder: Path) -> list[Job]:
    """The jobs of a sweep, given its folder or the one above.

    Raises:
        UserError: there is none.
    """
    for place in (folder, folder / "sweep"):
        jobs = list(recorded(place).values())
        if jobs:
            return jobs
    raise UserError(
        f"expected the folder of a sweep, got {folder}, which holds no jobs; name the one that "
        "train.py -m printed, such as outputs/main/sweep."
    )


def lines(jobs: Sequence[Job], *, everything: bool = False) -> Iterator[str]:
    """The listing: a count, a line a job, and the command that goes on with them."""
    states: dict[str, list[tuple[Job, dict[str, Any]]]] = {state: [] for state in WORDS}
    for job in jobs:
        status = job.status()
        state = status["state"]
        if state == "finished" and not job.is_complete:
            state = "unscored"
        states.setdefault(state, []).append((job, status))
    counts = [f"{len(ones)} {WORDS.get(state, state)}" for state, ones in states.items() if ones]
    yield f"{jobs[0].path.parent}: {len(jobs)} jobs: {', '.join(counts)}"
    labels = dict(zip((job.id for job in jobs), _labels(jobs), strict=True))
    width = max(map(len, labels.values()))
    for state, ones in states.items():
        few = state not in ("finished", "planned") or everything
        shown = ones if few else ones[:LISTED]
        for job, status in shown:
            line = (
                f"  {WORDS.get(state, state):<11} {labels[job.id]:<{width}}  {_fact(job, status)}"
            )
            yield line.rstrip()
        if len(ones) > len(shown):
            yield f"  {WORDS[state]:<11} and {len(ones) - len(shown)} more; --all lists them"
    commands = dict.fromkeys(command_of(job.path) for job in jobs if not job.is_complete)
    for command in list(commands)[:COMMANDS]:
        yield f"go on with  {beside_python('python') + ' ' if '.py ' in command else ''}{command}"
    if len(commands) > COMMANDS:
        yield f"            and {len(commands) - COMMANDS} other commands that planned them"


def _labels(jobs: Sequence[Job]) -> list[str]:
    """What tells the jobs of a folder apart, which may have been planned by several commands."""
    words = [overrides_of(job.path) for job in jobs]
    shared = set.intersection(*map(set, words))
    return [" ".join(w for w in own if w not in shared) or jobs[0].id for own in words]


def _fact(job: Job, status: dict[str, Any]) -> str:
    """What there is to say of a job in a few words."""
    if status.get("error"):
        error = str(status["error"])
        return SIGNALS.get(error, error).splitlines()[0]
    if status["state"] in ("finished", "pruned"):
        metrics = job.folder.read_metrics()
        name = "val/elbo" if "val/elbo" in metrics else "val/reconstruction"
        value = f"{name} {metrics[name]:.2f}" if name in metrics else ""
        seconds = f"{metrics['seconds']:,.0f} s" if "seconds" in metrics else ""
        return "  ".join(word for word in (value, seconds) if word)
    if "step" in status:
        of = f" of {status['num_steps']:,}" if "num_steps" in status else ""
        return f"step {status['step']:,}{of}"
    return ""
