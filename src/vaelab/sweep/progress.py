"""What a sweep shows while it runs: a view of its jobs on a terminal, else a line a job."""

import contextlib
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TextIO

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from vaelab.errors import UserError
from vaelab.runs.folder import RunFolder
from vaelab.runs.status import State
from vaelab.sweep.jobs import Job

log = logging.getLogger(__name__)

REDRAW_EVERY = 1.0  # seconds
MOST_LINES = 12
TAIL = 8192  # bytes of metrics.csv, some hundred rows
JUDGED_BY = ("val/elbo", "val/reconstruction")  # the second where there is no density


class Progress:
    """Counts the jobs of a sweep and watches those that run, by their run folders.

    Args:
        total: the number of jobs to come; None where a search decides.
        live: draw a view, if the stream is a terminal. Not where jobs draw bars of their own.
    """

    def __init__(self, total: int | None, *, live: bool, stream: TextIO | None = None):
        self.total, self.stream = total, stream or sys.stderr
        self.live = live and self.stream.isatty()
        self.states: Counter[str] = Counter()
        self.running: dict[str, Job] = {}
        self._begun: dict[str, tuple[float, int]] = {}  # id -> time and step, when first seen

    def starting(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """The jobs as a launcher takes them, each told."""
        for job in jobs:
            self.running[job.id] = job
            log.info("start: %s", job.label)
            yield job

    def ended(self, job: Job, state: str) -> None:
        """Tell how a job has ended."""
        self.running.pop(job.id, None)
        self.states[state] += 1
        error = str(job.folder.status().get("error", "")).splitlines()[:1]
        count = f"{self.states.total()}" + (f" of {self.total}" if self.total else "")
        log.info("%s %s: %s", count, state, ": ".join([job.label, *error]))

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Draw the view meanwhile."""
        if not self.live:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._draw, args=[over], daemon=True)
        # What is logged comes above the view.
        with logging_redirect_tqdm():
            thread.start()
            try:
                yield
            finally:
                over.set()
                thread.join()

    def lines(self, now: float) -> list[str]:
        """The view at a time: one line of counts, then one for each job that runs."""
        jobs = list(self.running.values())
        counts = [f"{num} {state}" for state, num in self.states.items()]
        done = f"{self.states.total()} of {self.total or '?'} jobs"
        head = ", ".join([done, *counts, f"{len(jobs)} running"])
        shown = jobs[: MOST_LINES - 2] if len(jobs) >= MOST_LINES else jobs
        rest = [f"  and {len(jobs) - len(shown)} more"] if len(jobs) > len(shown) else []
        return [head, *(f"  {self._line(job, now)}" for job in shown), *rest]

    def _line(self, job: Job, now: float) -> str:
        try:
            status = job.folder.status()
        except (UserError, ValueError):
            return job.label
        step, num_steps = status.get("step"), status.get("num_steps")
        if status["state"] != State.RUNNING or step is None:
            return f"{job.label}   {status['state']}"
        begun, first = self._begun.setdefault(job.id, (now, step))
        words = [job.label, f"step {step:,} of {num_steps:,}", *judged(job.folder)]
        if step > first:
            seconds = (num_steps - step) * (now - begun) / (step - first)
            words.append(f"{timedelta(seconds=round(seconds))} left")
        return "   ".join(words)

    def _draw(self, over: threading.Event) -> None:
        bars: list[tqdm] = []
        while not over.wait(REDRAW_EVERY):
            lines = self.lines(time.monotonic())
            while len(bars) < len(lines):
                bar = tqdm(
                    file=self.stream, bar_format="{desc}", position=len(bars), leave=False,
                    dynamic_ncols=True,
                )  # fmt: skip
                bars.append(bar)
            for number, bar in enumerate(bars):
                bar.set_description_str(lines[number] if number < len(lines) else "")
        for bar in reversed(bars):
            bar.close()


def judged(folder: RunFolder) -> list[str]:
    """["val/elbo -12.34"] as far as metrics.csv has come; its end is enough."""
    if not folder.curves.exists():
        return []
    with folder.curves.open("rb") as file:
        file.seek(-min(TAIL, folder.curves.stat().st_size), 2)
        rows = [line.split(",") for line in file.read().decode(errors="replace").split("\n")[:-1]]
    last = {row[1]: row[2] for row in rows if len(row) == 3}
    for metric in JUDGED_BY:
        with contextlib.suppress(KeyError, ValueError):
            return [f"{metric} {float(last[metric]):.2f}"]
    return []
