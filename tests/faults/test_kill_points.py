"""A kill or a full disk at any moment leaves a run that can be resumed, or started anew.

As SQLite tests itself: the n-th rename, synchronisation, opening or writing of a file ends the
process (kill) or fails (error), for every n; then the run is brought to its end and must equal the
uninterrupted one bit for bit. The suite tries some n, `make faults` all.
"""

import builtins
import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest

from vaelab.errors import UserError
from vaelab.runs.checkpoint import content_digest, load_checkpoint
from vaelab.runs.folder import RunFolder
from vaelab.runs.status import State

NUM_TRIED = 2  # of each operation and end in the suite
KILLED = 9


class Fault:
    """Counts the calls of one operation, and lets the n-th end the process or fail."""

    def __init__(self, operation, n, kills, monkeypatch):
        self.n, self.kills, self.calls = n, kills, 0
        getattr(self, operation)(monkeypatch)

    def strike(self):
        self.calls += 1
        if self.calls == self.n:
            if self.kills:
                os._exit(KILLED)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a file")

    def replace(self, monkeypatch):
        self._before(monkeypatch, os, "replace")

    def fsync(self, monkeypatch):
        self._before(monkeypatch, os, "fsync")

    def link(self, monkeypatch):
        self._before(monkeypatch, os, "link")

    def open(self, monkeypatch):
        real = Path.open

        def opened(path, mode="r", *args, **options):
            if set(mode) & set("wax"):
                self.strike()
            return real(path, mode, *args, **options)

        monkeypatch.setattr(Path, "open", opened)

    def write(self, monkeypatch):
        """Half of what is written arrives."""
        real, fault = Path.open, self

        class Halved(io.BufferedWriter):
            def write(self, content):
                fault.calls += 1
                if fault.calls == fault.n:
                    super().write(bytes(content)[: len(content) // 2])
                    super().flush()
                    fault.calls -= 1
                    fault.strike()
                return super().write(content)

        def opened(path, mode="r", *args, **options):
            if mode == "wb":
                return Halved(builtins.open(path, "wb", buffering=0))
            return real(path, mode, *args, **options)

        monkeypatch.setattr(Path, "open", opened)

    def _before(self, monkeypatch, module, name):
        real = getattr(module, name)

        def wrapped(*args, **options):
            self.strike()
            return real(*args, **options)

        monkeypatch.setattr(module, name, wrapped)


OPERATIONS = ("replace", "fsync", "link", "open", "write")


@pytest.fixture(scope="module")
def whole(run_tiny, tmp_path_factory):
    """The uninterrupted run."""
    return run_tiny(tmp_path_factory.mktemp("kill") / "whole")


@pytest.fixture(scope="module")
def num_calls(run_tiny, tmp_path_factory):
    """operation -> how often a whole run does it."""
    counts = {}
    for operation in OPERATIONS:
        with pytest.MonkeyPatch.context() as patch:
            fault = Fault(operation, 0, False, patch)
            run_tiny(tmp_path_factory.mktemp("count") / "run")
        counts[operation] = fault.calls
    return counts


def content(folder):
    checkpoint = load_checkpoint(folder.last_checkpoint)
    del checkpoint["callbacks"]["Stopwatch"], checkpoint["digest"]
    return content_digest(checkpoint)


def finish(folder, run_tiny, resume_tiny):
    """What a user would do: resume the run, or start it anew where there is none to resume."""
    try:
        state = folder.state()
    except UserError:
        return run_tiny(folder.path)
    return folder if state == State.FINISHED else resume_tiny(RunFolder(folder.path))


def strike(operation, n, kills, path, run_tiny):
    """Run with a fault in a process of its own, so that its kill is a real one."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with pytest.MonkeyPatch.context() as patch:
                Fault(operation, n, kills, patch)
                run_tiny(path)
            code = 0
        except UserError:
            code = 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("kills", [True, False], ids=["kill", "full_disk"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_some_moments(operation, kills, whole, num_calls, run_tiny, resume_tiny, tmp_path):
    rng = np.random.default_rng([OPERATIONS.index(operation), kills])
    moments = rng.choice(num_calls[operation], NUM_TRIED, replace=False) + 1
    check(operation, kills, moments, whole, run_tiny, resume_tiny, tmp_path)


@pytest.mark.faults
@pytest.mark.parametrize("kills", [True, False], ids=["kill", "full_disk"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_moment(operation, kills, whole, num_calls, run_tiny, resume_tiny, tmp_path):
    moments = range(1, num_calls[operation] + 1)
    check(operation, kills, moments, whole, run_tiny, resume_tiny, tmp_path)


def check(operation, kills, moments, whole, run_tiny, resume_tiny, tmp_path):
    for n in moments:
        folder = RunFolder(tmp_path / f"run{n}")
        code = strike(operation, int(n), kills, folder.path, run_tiny)
        assert code == KILLED if kills else code in (0, 2), n
        done = finish(folder, run_tiny, resume_tiny)
        assert done.state() == State.FINISHED, n
        assert done.curves.read_text() == whole.curves.read_text(), n
        assert content(done) == content(whole), n
        assert not list(done.path.rglob(".*.part")), n
