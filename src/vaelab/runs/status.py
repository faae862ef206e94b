"""The state of a run in status.json, and whether the process that wrote it is alive."""

import contextlib
import json
import os
import secrets
import socket
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from vaelab.errors import UserError
from vaelab.files import write_json

STALE_AFTER_SECONDS = 300.0  # without a heartbeat, after which a run on another host counts as dead


_tokens: dict[Path, str] = {}  # by status.json, of the runs that this process works on


class LostRun(UserError):
    """Another process has resumed the run that this one was working on."""


class State(StrEnum):
    """The states of a run; only `KILLED` is never written, but found by looking for the process."""

    PLANNED = "planned"  # by a sweep, not started
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED_EARLY = "stopped early"  # before num_steps, as a callback such as EarlyStopping decided
    PRUNED = "pruned"  # stopped by a search, on purpose
    OUT_OF_TIME = "out of time"  # trainer.max_time is over
    FAILED = "failed"  # with an error
    INTERRUPTED = "interrupted"  # by Ctrl-C, SIGTERM or a cluster
    KILLED = "killed"  # status.json says running, but the process is gone

    @property
    def has_ended(self) -> bool:
        """Whether no process works on the run any more."""
        return self not in (State.PLANNED, State.RUNNING)

    @property
    def is_trained(self) -> bool:
        """Whether training came to the end that the config sets, so that its numbers are final."""
        return self in (State.FINISHED, State.STOPPED_EARLY)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to train."""
        return self.is_trained or self == State.PRUNED

    @property
    def was_stopped(self) -> bool:
        """Whether the run stopped without an error of its own, and resumes where it was."""
        return self in (State.INTERRUPTED, State.KILLED, State.OUT_OF_TIME)


def read_status(file: Path) -> dict[str, Any]:
    """status.json, with "state" as a `State`: KILLED for a run whose process is gone.

    A process on another host counts as gone after `STALE_AFTER_SECONDS` without a heartbeat.
    """
    text = file.read_text(errors="replace")
    # An empty file is a run killed between claiming the folder and its first status.
    status: dict[str, Any]
    try:
        status = json.loads(text or '{"state": "failed", "error": "killed at its start"}')
        status["state"] = State(status["state"])
    except (ValueError, KeyError, TypeError) as error:
        return {"state": State.FAILED, "error": f"{file} is not the status of a run: {error}"}
    if status["state"] == State.RUNNING:
        here = status.get("host") == socket.gethostname()
        if not (_is_alive(status) if here else _is_recent(status.get("time"))):
            status["state"] = State.KILLED
    return status


def write_status(file: Path, state: State, **facts: Any) -> None:
    """Record `state` with the time, the process and any facts (step, error)."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    known = {"state": state, "time": now, "pid": os.getpid(), "host": socket.gethostname()}
    known["process_start"] = start_time(os.getpid())
    known["owner"] = _tokens.get(file.absolute()) or _owner(file)
    if cluster_task():
        known["task"] = cluster_task()
    write_json(file, known | facts, before_replacing=lambda: require_owner(file))


def take_ownership(file: Path) -> None:
    """Make this process the owner of the run: it writes a new token, which the old owner lacks."""
    _tokens.pop(file.absolute(), None)
    token = secrets.token_hex(8)
    write_status(file, State.RUNNING, owner=token)
    _tokens[file.absolute()] = token


def require_owner(file: Path) -> None:
    """Require that no other process has resumed the run since this one claimed it.

    A process that was frozen (a suspended machine, a hung file system) counts as dead after a while
    and may be replaced. It compares tokens before each write, so that it overwrites nothing.
    Processes that never claimed the run, such as an evaluation, have no token and are let through.

    Raises:
        LostRun: another process owns the run now.
    """
    token = _tokens.get(file.absolute())
    if token is not None and _owner(file) not in (token, None):
        status = json.loads(file.read_text())
        raise LostRun(
            f"{file.parent} expects one process that works on it, got a second: process "
            f"{status.get('pid')} of {status.get('host')} resumed it while this one did not "
            "respond; this one stops and has overwritten nothing."
        )


def _owner(file: Path) -> str | None:
    """The token in status.json; None where there is none to read."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return json.loads(file.read_text()).get("owner")
    return None


def cluster_task() -> str | None:
    """The cluster's name for this task, which stays the same when it is started again."""
    return os.environ.get("VAELAB_TASK") or os.environ.get("SLURM_JOB_ID")


def _is_recent(time: Any) -> bool:
    """Whether the heartbeat of another host is recent; clocks may differ by some seconds."""
    try:
        written = datetime.fromisoformat(time).astimezone()
    except (TypeError, ValueError):
        return False
    # In the future, since its clock was set wrong, it may be by as much and no longer.
    return abs((datetime.now().astimezone() - written).total_seconds()) < STALE_AFTER_SECONDS


def start_time(pid: int) -> int | None:
    """When a process of this machine began, in ticks since the machine did; None where unknown."""
    with contextlib.suppress(ValueError, IndexError):
        return int(_stat(pid)[22 - 3])
    return None


def _stat(pid: int) -> list[str]:
    """The fields of proc(5)'s stat from the state on; [] where there is no such file."""
    with contextlib.suppress(OSError):
        # They come after the name, which may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _is_alive(status: dict[str, Any]) -> bool:
    """Whether the process that wrote the status lives; another may have its number by now."""
    try:
        os.kill(status["pid"], 0)
    except (ProcessLookupError, OverflowError, TypeError, KeyError):
        return False
    except PermissionError:
        pass
    if _stat(status["pid"])[:1] in (["Z"], ["X"]):  # dead, and its parent has not waited for it
        return False
    then, now = status.get("process_start"), start_time(status["pid"])
    return None in (then, now) or then == now
