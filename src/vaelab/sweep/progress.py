"""What a sweep shows while it runs: a live view on a terminal, else one log line per job."""

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

REDRAW_SECONDS = 1.0
MAX_LINES = 12
TAIL_BYTES = 8192  # of metrics.csv, some hundred rows
SCORES = ("val/elbo", "val/reconstruction")  # the second where there is no density


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
        self._first_seen: dict[str, tuple[float, int]] = {}  # id -> time and step, when first seen

    def track(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Pass the jobs on to a launcher, logging each and counting it as running."""
        for job in jobs:
            self.running[job.id] = job
            log.info("start: %s", job.label)
            yield job

    def finish(self, job: Job, state: State) -> None:
        """Count and log a job that has ended."""
        self.running.pop(job.id, None)
        self.states[state] += 1
        error = str(job.folder.status().get("error", "")).splitlines()[:1]
        count = f"{self.states.total()}" + (f" of {self.total}" if self.total else "")
        log.info("%s %s: %s", count, state, ": ".join([job.label, *error]))

    @contextlib.contextmanager
    def display(self) -> Iterator[None]:
        """Draw the view for as long as the context lasts."""
        if not self.live:
            yield
            return
        closing = threading.Event()
        thread = threading.Thread(target=self._draw, args=[closing], daemon=True)
        # What is logged comes above the view.
        with logging_redirect_tqdm():
            thread.start()
            try:
                yield
            finally:
                closing.set()
                thread.join()

    def lines(self, now: float) -> list[str]:
        """The view at time `now`: one line of counts, then one per running job."""
        jobs = list(self.running.values())
        counts = [f"{num} {state}" for state, num in self.states.items()]
        ended = f"{self.states.total()} of {self.total or '?'} jobs"
        head = ", ".join([ended, *counts, f"{len(jobs)} running"])
        shown = jobs[: MAX_LINES - 2] if len(jobs) >= MAX_LINES else jobs
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
        since, first = self._first_seen.setdefault(job.id, (now, step))
        fields = [job.label, f"step {step:,} of {num_steps:,}", *latest_score(job.folder)]
        if step > first:
            seconds = (num_steps - step) * (now - since) / (step - first)
            fields.append(f"{timedelta(seconds=round(seconds))} left")
        return "   ".join(fields)

    def _draw(self, closing: threading.Event) -> None:
        bars: list[tqdm] = []
        while not closing.wait(REDRAW_SECONDS):
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


def latest_score(folder: RunFolder) -> list[str]:
    """["val/elbo -12.34"] from the end of metrics.csv, or [] where it has none."""
    if not folder.curves.exists():
        return []
    with folder.curves.open("rb") as file:
        file.seek(-min(TAIL_BYTES, folder.curves.stat().st_size), 2)
        rows = [line.split(",") for line in file.read().decode(errors="replace").split("\n")[:-1]]
    last = {row[1]: row[2] for row in rows if len(row) == 3}
    for metric in SCORES:
        with contextlib.suppress(KeyError, ValueError):
            return [f"{metric} {float(last[metric]):.2f}"]
    return []
