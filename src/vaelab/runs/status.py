"""The state of a run in status.json, and whether the process that wrote it is alive."""

import json
import os
import socket
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from vaelab.files import write_json

STALE_AFTER_SECONDS = 300.0  # without a heartbeat, after which a run on another host counts as dead


class State(StrEnum):
    """The states of a run; only `KILLED` is never written, but found by looking for the process."""

    PLANNED = "planned"  # by a sweep, not started
    RUNNING = "running"
    FINISHED = "finished"
    PRUNED = "pruned"  # stopped by a search, on purpose
    FAILED = "failed"  # with an error
    INTERRUPTED = "interrupted"  # by Ctrl-C, SIGTERM or a cluster
    KILLED = "killed"  # status.json says running, but the process is gone

    @property
    def has_ended(self) -> bool:
        """Whether no process works on the run any more."""
        return self not in (State.PLANNED, State.RUNNING)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to train."""
        return self in (State.FINISHED, State.PRUNED)

    @property
    def was_stopped(self) -> bool:
        """Whether the run stopped without an error of its own, and resumes where it was."""
        return self in (State.INTERRUPTED, State.KILLED)


def read_status(file: Path) -> dict[str, Any]:
    """status.json, with "state" as a `State`: KILLED for a run whose process is gone.

    A process on another host counts as gone after `STALE_AFTER_SECONDS` without a heartbeat.
    """
    text = file.read_text()
    # An empty file is a run killed between claiming the folder and its first status.
    status: dict[str, Any]
    try:
        status = json.loads(text or '{"state": "failed", "error": "killed at its start"}')
        status["state"] = State(status["state"])
    except (ValueError, KeyError, TypeError) as error:
        return {"state": State.FAILED, "error": f"{file} is not the status of a run: {error}"}
    if status["state"] == State.RUNNING:
        here = status.get("host") == socket.gethostname()
        if not (_is_alive(status) if here else _is_recent(status["time"])):
            status["state"] = State.KILLED
    return status


def write_status(file: Path, state: State, **facts: Any) -> None:
    """Record `state` with the time, the process and any facts (step, error)."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    known = {"state": state, "time": now, "pid": os.getpid(), "host": socket.gethostname()}
    known["began"] = start_time(os.getpid())
    if cluster_task():
        known["task"] = cluster_task()
    write_json(file, known | facts)


def cluster_task() -> str | None:
    """The cluster's name for this task, which stays the same when it is started again."""
    return os.environ.get("VAELAB_TASK") or os.environ.get("SLURM_JOB_ID")


def _is_recent(time: str) -> bool:
    """Whether the heartbeat of another host is recent; clocks may differ by some seconds."""
    written = datetime.fromisoformat(time).astimezone()
    # In the future, since its clock was set wrong, it may be by as much and no longer.
    return abs((datetime.now().astimezone() - written).total_seconds()) < STALE_AFTER_SECONDS


def start_time(pid: int) -> int | None:
    """When a process of this machine began, in ticks since the machine did; None where unknown."""
    try:
        # After the name, which may hold anything, comes the third of proc(5)'s numbers.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[22 - 3])
    except (OSError, ValueError, IndexError):
        return None


def _is_alive(status: dict[str, Any]) -> bool:
    """Whether the process that wrote the status lives; another may have its number by now."""
    try:
        os.kill(status["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    then, now = status.get("began"), start_time(status["pid"])
    return None in (then, now) or then == now
