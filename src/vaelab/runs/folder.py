"""The folder that a run leaves behind: everything later works from it alone."""

import csv
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from vaelab.errors import UserError, require
from vaelab.files import (
    locked,
    natural_order,
    not_written,
    read_json,
    remove_partial_files,
    write_atomically,
    write_json,
)
from vaelab.runs.status import (
    STALE_AFTER_SECONDS,
    State,
    cluster_task,
    read_status,
    require_owner,
    take_ownership,
    write_status,
)

TAKE_OVER_SECONDS = 20.0  # to wait for another process that is claiming or resuming the run

JOB = "job.json"


class RunFolder:
    """Paths and records of one run.

    config.yaml      the resolved config
    provenance.json  command, overrides, versions, git state, machine, data checksum
    status.json      running, finished, failed or interrupted, with the step and the error
    metrics.json     final metrics;  metrics.csv  all of them: step, metric, value
    checkpoints/     last.ckpt, the one before it as previous.ckpt, and best.ckpt
    figures/         PNG, SVG and GIF
    codes/           cached encodings of the images, for evaluation; may be deleted
    job.json         of a job of a sweep: its overrides, and the trial of a search that prunes it
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
        self.job = self.path / JOB
        self.last_checkpoint = self.path / "checkpoints" / "last.ckpt"
        self.previous_checkpoint = self.path / "checkpoints" / "previous.ckpt"
        self.best_checkpoint = self.path / "checkpoints" / "best.ckpt"

    def resume_checkpoint(self) -> Path | None:
        """last.ckpt, or previous.ckpt where it was moved away; None where there is neither."""
        files = (self.last_checkpoint, self.previous_checkpoint)
        return next((file for file in files if file.exists()), None)

    @cached_property
    def last_step(self) -> int:
        """The step of `resume_checkpoint` when first asked for; 0 where there is none yet."""
        checkpoint = self.resume_checkpoint()
        if checkpoint is None:
            return 0
        # Imported here, since torch takes seconds to import.
        from vaelab.runs.checkpoint import load_checkpoint

        return int(load_checkpoint(checkpoint)["global_step"])

    def claim(self, config: str) -> None:
        """Make this process the owner of a new run, or of one that a sweep planned here.

        Args:
            config: config.yaml, which is written first: a folder with a status can be resumed.

        Raises:
            UserError: the folder already holds a run; nothing in it was changed.
        """
        with self._lock():
            if self._holds_a_run():
                raise UserError(
                    f"a new run expects a folder of its own, got {self.path}, which already holds "
                    f"one; resume it with resume={self.path}, or choose another name=."
                )
            self._take(config)

    def _take(self, config: str) -> None:
        remove_partial_files(self.path)
        write_atomically(self.config, lambda file: file.write(config.encode()))
        take_ownership(self.status_file)

    def _holds_a_run(self) -> bool:
        """Whether the folder is taken; not by what was planned, or was killed before its config."""
        if not self.status_file.exists():
            return False
        state = read_status(self.status_file)["state"]
        return state == State.RUNNING or (self.config.exists() and state != State.PLANNED)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other processes from claiming or resuming the run at the same time."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with locked(self.path / ".lock", TAKE_OVER_SECONDS) as held:
                require(
                    held,
                    f"a run expects one process that works on it, got another that is starting in "
                    f"{self.path}; wait for it or stop it first.",
                )
                yield
        except OSError as error:
            raise not_written(self.path, error) from error

    def reopen(self, config: str) -> None:
        """Make this process the owner of a stopped run, in order to resume it.

        Args:
            config: config.yaml from now on.

        Raises:
            UserError: this is not a run folder, or its process is still alive.
        """
        self.status()  # before the lock, which would leave a file where there is no run
        with self._lock():
            self._require_stopped(self.status())
            self._take(config)

    def _require_stopped(self, status: dict[str, Any]) -> None:
        here = status.get("host") == socket.gethostname()
        mine = here and status.get("pid") == os.getpid()
        # A cluster that starts a task again knows that the process before is gone.
        restarted = status.get("task") is not None and status["task"] == cluster_task()
        if status["state"] == State.RUNNING and not mine and (here or not restarted):
            where = "" if here else f" of {status.get('host')}"
            raise UserError(
                f"resume expects a run that has stopped, got {self.path}, on which process "
                f"{status['pid']}{where} is still working; wait for it or stop it first"
                + (
                    "."
                    if here
                    else f" ({STALE_AFTER_SECONDS:.0f} s without a heartbeat count as stopped)."
                )
            )

    def status(self) -> dict[str, Any]:
        """See `runs.status.read_status`.

        Raises:
            UserError: this is not a run folder.
        """
        if not self.status_file.exists() or not self.config.exists():
            raise UserError(
                f"expected a run folder (with config.yaml and status.json), got {self.path}; name "
                "the folder that a run printed at its end, such as outputs/main/<time>."
            )
        return read_status(self.status_file)

    def state(self) -> State:
        """The state of `status`."""
        return self.status()["state"]

    def set_status(self, state: State, **facts: Any) -> None:
        """See `runs.status.write_status`."""
        write_status(self.status_file, state, **facts)

    def read_metrics(self) -> dict[str, Any]:
        """metrics.json, or {} before the run's end.

        Raises:
            UserError: the file is no JSON.
        """
        if not self.metrics.exists():
            return {}
        advice = "fix it, or move it away and evaluate the run again"
        return read_json(self.metrics, dict, advice)

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
        write_json(self.metrics, merged, before_replacing=self.require_owner)

    def require_owner(self) -> None:
        """See `runs.status.require_owner`."""
        require_owner(self.status_file)

    def read_job(self) -> dict[str, Any]:
        """job.json, or {} for a run that is not a job of a sweep."""
        if not self.job.exists():
            return {}
        return read_json(self.job, dict, "run the command of the sweep again, which plans its jobs")

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
        with self.curves.open(newline="", encoding="utf-8", errors="replace") as file:
            # A kill may cut the last line short, and half a number is a number.
            whole = (line.replace("\0", "") for line in file if line.endswith("\n"))
            for row in csv.DictReader(whole):
                try:
                    curve = curves.setdefault(row["metric"], {})
                    curve[int(row["step"])] = float(row["value"])
                except (KeyError, TypeError, ValueError) as error:
                    raise UserError(
                        f"expected rows step,metric,value in {self.curves}, got {dict(row)}; fix "
                        "the file, or move it away to continue without curves."
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
