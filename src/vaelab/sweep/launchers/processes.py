"""Jobs as processes of their own: what kills one loses no other, and its memory comes back."""

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
from vaelab.sweep.launchers.memory import GB, available_bytes, needed_bytes
from vaelab.sweep.parent_watchdog import PATIENCE, SWEEP

OUTPUT = "output.log"  # of a run folder: what its process printed
LOOK_EVERY = 1.0  # seconds

COMMAND = (sys.executable, "-m", "vaelab.sweep.job")


class Processes:
    """Runs jobs as processes, from any number of threads.

    Args:
        memory_gb: what one job may take, in 10^9 bytes; None for no limit.
    """

    def __init__(self, memory_gb: float | None = None):
        self.memory_gb = memory_gb
        self.needed: dict[int, float] = {}  # process number -> bytes so far, of those that run
        self.largest = (memory_gb or 0.0) * GB  # what a job has needed so far
        self.stopped = False
        self._coming = 0  # jobs that have room and no process yet
        self._running: dict[int, subprocess.Popen] = {}
        self._lock = threading.Lock()

    def run(self, job: Job, environment: Mapping[str, str], cwd: str | None = None) -> str | None:
        """Run a job to its end; why it ended, as far as its run folder can't know that.

        Where the waiting is interrupted the job runs on, until `stop`.
        """
        with (job.path / OUTPUT).open("a+b") as output:
            begin = output.seek(0, os.SEEK_END)
            process = self._start(job, environment, cwd, output.fileno())
            if process is None:
                return None
            while process.poll() is None:
                self._look(process.pid)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(LOOK_EVERY)
            needed = self._forget(process)
            output.seek(begin)
            return reason(process.returncode, needed, output.read().decode(errors="replace"))

    def wait_for_room(self) -> None:
        """Wait until memory holds what the largest job has needed so far, or none runs.

        What those that run have yet to grow to is taken already. So is then the room of this one:
        `run` it, or else `leave_room`.
        """
        while not self.stopped:
            with self._lock:
                others = [*self.needed.values(), *[0.0] * self._coming]
                growth = sum(max(0.0, self.largest - now) for now in others)
                if not others or available_bytes() >= self.largest + growth:
                    self._coming += 1
                    return
            time.sleep(LOOK_EVERY)

    def leave_room(self) -> None:
        """Give back the room that was waited for, where no job is started."""
        with self._lock:
            self._coming = max(0, self._coming - 1)

    def stop(self) -> None:
        """Ask all jobs to end, wait for them to save their state, and start no more.

        Pressing Ctrl-C, or a minute, ends the waiting; then they are killed.
        """
        with self._lock:
            self.stopped = True
            running = list(self._running.values())
        for process in running:
            process.terminate()
        end = time.monotonic() + PATIENCE
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
        own = {SWEEP: str(os.getpid()), "PYTHONFAULTHANDLER": "1", **environment}
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
            self._coming = max(0, self._coming - 1)
            self.needed[process.pid] = 0.0
        if self.memory_gb is not None:
            limit = int(self.memory_gb * GB)
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (limit, limit))
        return process

    def _look(self, pid: int) -> None:
        needed = needed_bytes(pid)
        with self._lock:
            self.needed[pid] = max(self.needed[pid], needed)
            self.largest = max(self.largest, needed)

    def _forget(self, process: subprocess.Popen) -> float:
        _kill_group(process)
        with self._lock:
            self._running.pop(process.pid, None)
            return self.needed.pop(process.pid, 0.0)


def run_alone(
    job: Job,
    environment: Mapping[str, str] | None = None,
    cwd: str | None = None,
    memory_gb: float | None = None,
) -> str | None:
    """Run one job in a process that is asked to end when this ends; see `Processes.run`."""
    processes = Processes(memory_gb)
    try:
        return processes.run(job, environment or {}, cwd)
    finally:
        processes.stop()


def reason(code: int, needed: float, printed: str) -> str | None:
    """What an exit code says.

    Args:
        code: negative for a signal.
        needed: bytes that the job held.
        printed: its output.
    """
    if code == 0:
        return None
    if code == -signal.SIGKILL:
        return (
            f"killed by signal 9, probably since memory ran out ({needed / GB:.1f} GB were in "
            "use): use a smaller batch_size or eval_batch_size, or hydra.launcher.num_jobs=1"
        )
    last = printed.strip().rpartition("\n")[2]
    how = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{how}; {OUTPUT} ends with: {last}" if last else how


def _kill_group(process: subprocess.Popen) -> None:
    """End what is left of a job, such as the further processes of one that was killed."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
