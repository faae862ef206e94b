"""Jobs as separate processes: one that is killed stops no other, and its memory is freed."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

from vaelab.sweep.jobs import Job
from vaelab.sweep.launchers.resources import GB, available_bytes, needed_bytes
from vaelab.sweep.parent_watchdog import GRACE_SECONDS, PARENT_VARIABLE

OUTPUT = "output.log"  # of a run folder: what its process printed
POLL_SECONDS = 1.0

COMMAND = (sys.executable, "-m", "vaelab.sweep.job")


class JobProcesses:
    """Runs jobs as processes, from any number of threads.

    Args:
        memory_gb: what one job may take, in 10^9 bytes; None for no limit.
    """

    def __init__(self, memory_gb: float | None = None):
        self.memory_gb = memory_gb
        self.needed: dict[int, float] = {}  # process id -> bytes so far, of those that run
        self.largest = (memory_gb or 0.0) * GB  # what a job has needed so far
        self.stopped = False
        self._running: dict[int, subprocess.Popen] = {}
        self._lock = threading.Lock()

    def run(self, job: Job, environment: Mapping[str, str], cwd: str | None = None) -> str | None:
        """Run a job to its end; the reason of its end, as far as its run folder can't know that.

        Where the waiting is interrupted the job runs on, until `stop`.
        """
        with (job.path / OUTPUT).open("a+b") as output:
            start = output.seek(0, os.SEEK_END)
            process = self._start(job, environment, cwd, output.fileno())
            if process is None:
                return None
            while process.poll() is None:
                self._measure(process.pid)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
            needed = self._forget(process)
            output.seek(start)
            return exit_reason(process.returncode, needed, output.read().decode(errors="replace"))

    def has_room(self, num_jobs: int) -> bool:
        """Whether memory holds what the largest job has needed so far; always for the first job.

        What running jobs have yet to grow to counts as taken.

        Args:
            num_jobs: that were started and have not ended; some may have no process yet.
        """
        with self._lock:
            needed = [*self.needed.values(), *[0.0] * (num_jobs - len(self.needed))]
            growth = sum(max(0.0, self.largest - bytes_now) for bytes_now in needed)
            return not needed or available_bytes() >= self.largest + growth

    def stop(self) -> None:
        """Ask all jobs to end, wait for them to save their state, and start no more.

        Pressing Ctrl-C, or `GRACE_SECONDS`, ends the waiting; then they are killed.
        """
        with self._lock:
            self.stopped = True
            running = list(self._running.values())
        for process in running:
            process.terminate()
        end = time.monotonic() + GRACE_SECONDS
        try:
            for process in running:
                process.wait(max(0.0, end - time.monotonic()))
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            pass
        finally:
            for process in running:
                _kill_group(process)

    def _start(
        self, job: Job, environment: Mapping[str, str], cwd: str | None, output: int
    ) -> subprocess.Popen | None:
        own = {PARENT_VARIABLE: str(os.getpid()), "PYTHONFAULTHANDLER": "1", **environment}
        with self._lock:
            if self.stopped:
                return None
            process = subprocess.Popen(
                [*COMMAND, str(job.path)],
                cwd=cwd,
                env=os.environ | own,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C of the terminal reaches the sweep, which asks its jobs: a second one would
                # cut off what the first made the job save.
                start_new_session=True,
            )
            self._running[process.pid] = process
            self.needed[process.pid] = 0.0
        if self.memory_gb is not None:
            limit = int(self.memory_gb * GB)
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (limit, limit))
        return process

    def _measure(self, pid: int) -> None:
        needed = needed_bytes(pid)
        with self._lock:
            self.needed[pid] = max(self.needed[pid], needed)
            self.largest = max(self.largest, needed)

    def _forget(self, process: subprocess.Popen) -> float:
        _kill_group(process)
        with self._lock:
            self._running.pop(process.pid, None)
            return self.needed.pop(process.pid, 0.0)


def run_in_process(
    job: Job,
    environment: Mapping[str, str] | None = None,
    cwd: str | None = None,
    memory_gb: float | None = None,
) -> str | None:
    """Run one job in a process that is asked to end when this ends; see `JobProcesses.run`."""
    processes = JobProcesses(memory_gb)
    try:
        return processes.run(job, environment or {}, cwd)
    finally:
        processes.stop()


def exit_reason(code: int, needed: float, output: str) -> str | None:
    """What an exit code means.

    Args:
        code: negative for a signal.
        needed: bytes that the job held.
        output: what it printed.
    """
    if code == 0:
        return None
    if code == -signal.SIGKILL:
        return (
            f"killed by signal 9, probably since memory ran out ({needed / GB:.1f} GB were in "
            "use): use a smaller batch_size or eval_batch_size, or hydra.launcher.num_jobs=1"
        )
    last = output.strip().rpartition("\n")[2]
    how = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{how}; {OUTPUT} ends with: {last}" if last else how


def _kill_group(process: subprocess.Popen) -> None:
    """Kill what is left of a job, such as the further processes of one that was killed."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
