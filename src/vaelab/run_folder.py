"""The folder that a run leaves behind: everything later works from it alone."""

import csv
import json
import os
import re
import socket
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from vaelab.errors import UserError
from vaelab.files import not_written, write_json

SILENCE = 300.0  # seconds after which a run on another machine counts as gone


def is_main_process() -> bool:
    """Whether this process records: the first of those that train one model together.

    Lightning numbers the processes it starts by LOCAL_RANK, torchrun by RANK, SLURM by its own.
    """
    return all(int(os.environ.get(name, 0)) == 0 for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


class RunFolder:
    """Paths and records of one run.

    config.yaml      the resolved config
    provenance.json  command, overrides, versions, git state, machine, data checksum
    status.json      running, finished, failed or interrupted, with the step and the error
    metrics.json     final metrics;  metrics.csv  all of them: step, metric, value
    checkpoints/     last.ckpt, best.ckpt
    figures/         PNG, SVG and GIF
    codes/           what the encoder says of the images, kept by evaluation; may be deleted
    and TensorBoard's event files.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.provenance = self.path / "provenance.json"
        self.status_file = self.path / "status.json"
        self.metrics = self.path / "metrics.json"
        self.curves = self.path / "metrics.csv"
        self.figures = self.path / "figures"
        self.codes = self.path / "codes"
        self.last_checkpoint = self.path / "checkpoints" / "last.ckpt"
        self.best_checkpoint = self.path / "checkpoints" / "best.ckpt"

    @cached_property
    def last_step(self) -> int:
        """The step of last.ckpt when first asked for; 0 where there is none yet."""
        if not self.last_checkpoint.exists():
            return 0
        from vaelab.checkpoint import load_checkpoint  # here, since torch takes seconds to import

        return int(load_checkpoint(self.last_checkpoint)["global_step"])

    def claim(self) -> None:
        """Make the folder this run's own; one that was planned for it is.

        Raises:
            UserError: it already holds a run; nothing there was touched.
        """
        if self.is_planned():
            self.set_status("running")
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # Exclusive creation: of two processes that start at once, one gets the folder.
            os.close(os.open(self.status_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except OSError as error:
            if not self.status_file.exists():
                raise not_written(self.path, error) from error
            raise UserError(
                f"a new run expects a folder of its own, got {self.path}, which already holds one; "
                f"go on with it by resume={self.path}, or choose another name=."
            ) from None
        self.set_status("running")

    def is_planned(self) -> bool:
        """Whether a sweep has laid a job here that has not begun."""
        return self.status_file.exists() and self.status()["state"] == "planned"

    def reopen(self) -> None:
        """Take over a stopped run in order to resume it.

        Raises:
            UserError: no run lies here, or its process is still alive.
        """
        status = self.status()
        here = status.get("host") == socket.gethostname()
        mine = here and status.get("pid") == os.getpid()
        # A cluster that starts a task again knows that the process before is gone.
        again = status.get("task") is not None and status["task"] == _task()
        if status["state"] == "running" and not mine and (here or not again):
            where = "" if here else f" of {status.get('host')}"
            raise UserError(
                f"resume expects a run that has stopped, but process {status['pid']}{where} is "
                f"still working on {self.path}; wait for it or stop it first"
                + ("." if here else f" ({SILENCE:.0f} s without a sign of life count as stopped).")
            )
        self.set_status("running")

    def status(self) -> dict[str, Any]:
        """What status.json says; "killed" for a run whose process is gone.

        A process of another machine counts as gone after `SILENCE` without a sign of life.

        Raises:
            UserError: there is none.
        """
        if not self.status_file.exists() or not self.config.exists():
            raise UserError(
                f"expected a run folder (with config.yaml and status.json), got {self.path}; name "
                "the folder that a run printed at its end, such as outputs/main/<time>."
            )
        text = self.status_file.read_text()
        # An empty file is a run killed between claiming the folder and its first status.
        status: dict[str, Any]
        try:
            status = json.loads(text or '{"state": "failed", "error": "killed at its start"}')
        except ValueError as error:
            status = {"state": "failed", "error": f"{self.status_file} is no JSON: {error}"}
        if status["state"] == "running":
            here = status.get("host") == socket.gethostname()
            if not (_is_alive(status) if here else _is_recent(status["time"])):
                status["state"] = "killed"
        return status

    def set_status(self, state: str, **facts: Any) -> None:
        """Record `state` with the time, the process and any facts (step, error)."""
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        known = {"state": state, "time": now, "pid": os.getpid(), "host": socket.gethostname()}
        known["began"] = began(os.getpid())
        if _task():
            known["task"] = _task()
        write_json(self.status_file, known | facts)

    def read_metrics(self) -> dict[str, Any]:
        """metrics.json, or {} before the run's end.

        Raises:
            UserError: the file is no JSON.
        """
        if not self.metrics.exists():
            return {}
        try:
            return json.loads(self.metrics.read_text())
        except ValueError as error:
            raise UserError(
                f"expected JSON in {self.metrics}, got {error}; mend it, or move it away and "
                "evaluate the run again."
            ) from error

    def add_metrics(self, values: dict[str, Any]) -> None:
        """Put `values` into metrics.json, keeping the others that are there.

        A mapping is put into the mapping of that name: {"scores": {"mig": ...}} keeps other scores.
        """
        merged = self.read_metrics()
        for name, value in values.items():
            old = merged.get(name)
            merged[name] = (
                old | value if isinstance(old, dict) and isinstance(value, dict) else value
            )
        write_json(self.metrics, merged)

    def read_curve(self, metric: str) -> dict[int, float]:
        """{step: value} of one metric from metrics.csv."""
        return self.read_curves().get(metric, {})

    def read_curves(self) -> dict[str, dict[int, float]]:
        """metric -> {step: value} from metrics.csv; of a step logged twice the last value.

        Raises:
            UserError: a row that is no (step, metric, value).
        """
        curves: dict[str, dict[int, float]] = {}
        if not self.curves.exists():
            return curves
        with self.curves.open(newline="") as file:
            # A kill may cut the last line short, and half a number is a number.
            for row in csv.DictReader(line for line in file if line.endswith("\n")):
                try:
                    curve = curves.setdefault(row["metric"], {})
                    curve[int(row["step"])] = float(row["value"])
                except (KeyError, TypeError, ValueError) as error:
                    raise UserError(
                        f"expected rows step,metric,value in {self.curves}, got {dict(row)}; mend "
                        "the file, or move it away to go on without curves."
                    ) from error
        return curves


def find_runs(path: str | os.PathLike) -> list[RunFolder]:
    """The run at `path`, or all runs below it, in natural order: job 2 before job 10.

    Raises:
        UserError: there is none.
    """
    top = Path(path)
    if (top / "status.json").exists():
        return [RunFolder(top)]
    folders = [file.parent for file in top.rglob("status.json")]
    runs = [folder for folder in folders if (folder / "config.yaml").exists()]
    if not runs:
        raise UserError(
            f"expected a run folder or a folder of runs (with config.yaml and status.json), got "
            f"{top}; name a folder that a run printed at its end, such as outputs/main/<time>."
        )
    return [RunFolder(folder) for folder in sorted(runs, key=natural_order)]


def natural_order(path: str | Path) -> list[tuple[bool, int, str]]:
    """A key for sorting: job 2 before job 10."""
    words = re.split(r"(\d+)", str(path))
    return [(word.isdigit(), int(word) if word.isdigit() else 0, word) for word in words]


def _task() -> str | None:
    """The cluster's name for this task, which stays the same when it is started again."""
    return os.environ.get("VAELAB_TASK") or os.environ.get("SLURM_JOB_ID")


def _is_recent(time: str) -> bool:
    """Whether a sign of life of another machine is recent; clocks may differ by some seconds."""
    written = datetime.fromisoformat(time).astimezone()
    # In the future, since its clock was set wrong, it may be by as much and no longer.
    return abs((datetime.now().astimezone() - written).total_seconds()) < SILENCE


def began(pid: int) -> int | None:
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
    then, now = status.get("began"), began(status["pid"])
    return None in (then, now) or then == now
