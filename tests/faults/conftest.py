"""Runs of twelve steps in this process, new and resumed, and what a kill or a full disk does."""

import builtins
import errno
import io
import json
import logging
import os
from collections import Counter
from pathlib import Path

import pytest

from vaelab.cli.error_messages import error_message
from vaelab.cli.hydra_app import CONF
from vaelab.runs.checkpoint import content_digest, load_checkpoint
from vaelab.runs.folder import RunFolder
from vaelab.runs.resume import resumed_config
from vaelab.train import train

# How a process that was struck ends, by its exit code.
ENDINGS = {0: "well", 1: "traceback", 2: "sentence", 3: "not struck", 9: "killed"}
WELL, TRACEBACK, SENTENCE, NOT_STRUCK, KILLED = ENDINGS
TIMINGS = ("seconds", "images_per_second")


@pytest.fixture(scope="session")
def run_tiny(compose, tiny):
    """(folder, overrides) -> the run folder of a finished run."""

    def run(path, *overrides):
        train(compose(*tiny, *overrides), path, [*tiny, *overrides])
        return RunFolder(path)

    return run


@pytest.fixture(scope="session")
def resume_tiny(compose):
    """A run folder -> the same after resuming it."""

    def resume(folder):
        compose()  # makes Hydra's resolvers known
        train(resumed_config(str(folder.path), [f"resume={folder.path}"]), folder.path, [])
        return folder

    return resume


class Fault:
    """Counts what a process does to files; the n-th call of one operation ends it, or fails.

    As SQLite tests itself. Opening and writing are those of the paths below `top` only, since
    Python compiles modules in between.

    Attributes:
        calls: how often each operation was called.
    """

    def __init__(self, monkeypatch, top, operation=None, n=0, kills=False):
        self.top, self.operation, self.n, self.kills = str(top), operation, n, kills
        self.calls = Counter()
        for name in ("replace", "fsync", "link", "mkdir"):
            monkeypatch.setattr(os, name, self._before(name, getattr(os, name)))
        opened = self._open(builtins.open)
        monkeypatch.setattr(io, "open", opened)  # of Path.open
        monkeypatch.setattr(builtins, "open", opened)

    def is_due(self, operation):
        self.calls[operation] += 1
        return (operation, self.calls[operation]) == (self.operation, self.n)

    def end(self, *filename):
        if self.kills:
            os._exit(KILLED)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *filename)

    def _before(self, operation, real):
        def wrapped(path, *args, **options):
            if self.is_due(operation):
                self.end(*([] if isinstance(path, int) else [str(path)]))
            return real(path, *args, **options)

        return wrapped

    def _open(self, real):
        def opened(file, mode="r", *args, **options):
            if not set(mode) & set("wax") or not str(file).startswith(self.top):
                return real(file, mode, *args, **options)
            if self.is_due("open"):
                self.end(str(file))
            if "+" in mode:  # of locks, into which nothing is written
                return real(file, mode, *args, **options)
            raw = real(file, mode.replace("t", "").replace("b", "") + "b", buffering=0)
            binary = HalfWritten(raw, self)
            return binary if "b" in mode else io.TextIOWrapper(binary, "utf-8", write_through=True)

        return opened


class HalfWritten(io.BufferedWriter):
    """Of what is written last, half arrives."""

    def __init__(self, raw, fault):
        super().__init__(raw)
        self.fault = fault

    def write(self, content):
        if self.fault.is_due("write"):
            super().write(bytes(content)[: len(content) // 2])
            super().flush()
            self.fault.end()
        return super().write(content)


class Tracebacks(logging.Handler):
    """Notes whether any was logged."""

    def __init__(self):
        super().__init__()
        self.seen = False

    def emit(self, record):
        self.seen |= bool(record.exc_info)


@pytest.fixture(scope="session")
def count_calls():
    """(action, path) -> how often action(path) does each operation."""

    def count(action, path):
        with pytest.MonkeyPatch.context() as patch:
            fault = Fault(patch, path)
            action(path)
        return fault.calls

    return count


@pytest.fixture(scope="session")
def strike():
    """(action, path, operation, n, kills) -> how a process ends that does action(path) meanwhile.

    It is a process of its own, so that the kill is a real one; see `ENDINGS`.
    """

    def in_process(action, path, operation, n, kills):
        pid = os.fork()
        if pid == 0:
            code = TRACEBACK
            try:
                code = _end_of(action, path, operation, n, kills)
            finally:
                os._exit(code)
        return ENDINGS[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]

    return in_process


def _end_of(action, path, operation, n, kills):
    tracebacks = Tracebacks()
    logging.getLogger().addHandler(tracebacks)
    code = WELL
    with pytest.MonkeyPatch.context() as patch:
        fault = Fault(patch, path, operation, n, kills)
        try:
            action(path)
        except Exception as error:
            code = SENTENCE if error_message(error, CONF, "train") else TRACEBACK
    if tracebacks.seen:
        return TRACEBACK
    return code if fault.calls[operation] >= n else NOT_STRUCK


@pytest.fixture(scope="session")
def results():
    """A run folder -> all that a run must have in common with the uninterrupted one."""

    def read(folder):
        checkpoint = load_checkpoint(folder.last_checkpoint)
        del checkpoint["callbacks"]["Stopwatch"], checkpoint["digest"]
        metrics = json.loads(folder.metrics.read_text(), object_pairs_hook=_without_timings)
        return content_digest(checkpoint), folder.curves.read_bytes(), repr(metrics)

    return read


def _without_timings(pairs):
    return sorted((name, value) for name, value in pairs if name not in TIMINGS)


@pytest.fixture
def partial_files():
    """A folder -> what is left half-written in it."""
    return lambda path: list(Path(path).rglob(".*.part"))
