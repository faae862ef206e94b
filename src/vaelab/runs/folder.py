"""The folder that a run leaves behind: everything later works from it alone."""

import csv
import json
import os
import socket
from functools import cached_property
from pathlib import Path
from typing import Any

from vaelab.errors import UserError
from vaelab.files import natural_order, not_written, write_json
from vaelab.runs.status import STALE_AFTER_SECONDS, State, cluster_task, read_status, write_status

JOB = "job.json"


class RunFolder:
    """Paths and records of one run.

    config.yaml      the resolved config
    provenance.json  command, overrides, versions, git state, machine, data checksum
    status.json      running, finished, failed or interrupted, with the step and the error
    metrics.json     final metrics;  metrics.csv  all of them: step, metric, value
    checkpoints/     last.ckpt, best.ckpt
    figures/         PNG, SVG and GIF
    codes/           what the encoder says of the images, kept by evaluation; may be deleted
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
        self.best_checkpoint = self.path / "checkpoints" / "best.ckpt"

    @cached_property
    def last_step(self) -> int:
        """The step of last.ckpt when first asked for; 0 where there is none yet."""
        if not self.last_checkpoint.exists():
            return 0
        from vaelab.runs.checkpoint import (
            load_checkpoint,  # here, since torch takes seconds to import
        )

        return int(load_checkpoint(self.last_checkpoint)["global_step"])

    def claim(self) -> None:
        """Make the folder this run's own; one that was planned for it is.

        Raises:
            UserError: it already holds a run; nothing there was touched.
        """
        if self.is_planned():
            self.set_status(State.RUNNING)
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
        self.set_status(State.RUNNING)

    def is_planned(self) -> bool:
        """Whether a sweep has laid a job here that has not begun."""
        return self.status_file.exists() and self.status()["state"] == State.PLANNED

    def reopen(self) -> None:
        """Take over a stopped run in order to resume it.

        Raises:
            UserError: no run lies here, or its process is still alive.
        """
        status = self.status()
        here = status.get("host") == socket.gethostname()
        mine = here and status.get("pid") == os.getpid()
        # A cluster that starts a task again knows that the process before is gone.
        again = status.get("task") is not None and status["task"] == cluster_task()
        if status["state"] == State.RUNNING and not mine and (here or not again):
            where = "" if here else f" of {status.get('host')}"
            raise UserError(
                f"resume expects a run that has stopped, but process {status['pid']}{where} is "
                f"still working on {self.path}; wait for it or stop it first"
                + (
                    "."
                    if here
                    else f" ({STALE_AFTER_SECONDS:.0f} s without a sign of life count as stopped)."
                )
            )
        self.set_status(State.RUNNING)

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

    def read_job(self) -> dict[str, Any]:
        """job.json, or {} for a run that is not a job of a sweep."""
        return json.loads(self.job.read_text()) if self.job.exists() else {}

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
