"""When to give a job of a sweep up: its validations are worse than those of the jobs beside it."""

import logging
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytorch_lightning as pl

from vaelab.errors import UserError, nearest, require
from vaelab.runs.folder import RunFolder
from vaelab.runs.status import State

log = logging.getLogger(__name__)

Curve = Mapping[int, float]  # step -> value, higher is better

RULES = ("median", "halving")
KEPT = 3  # halving keeps one job in three


class Pruning(pl.Callback):
    """Stops a run at a validation that falls behind; the run folders beside it are all it knows.

    No database is read, so that it works on any machine that sees the folder of the sweep. Runs
    that are compared must log metrics.csv.

    Args:
        folder: the run's; the others lie beside it.
        metric: of validations, such as val/elbo.
        direction: maximize or minimize.
        pruner: median or halving.
        n_startup_trials: runs to compare with, below which all go on.
        n_warmup_steps: steps before which all go on.

    Attributes:
        stopped: the step and the value at which the run was given up, or None.
    """

    def __init__(
        self,
        folder: RunFolder,
        metric: str = "val/elbo",
        direction: str = "maximize",
        pruner: str = "median",
        n_startup_trials: int = 5,
        n_warmup_steps: int = 0,
    ):
        require(pruner in RULES, f"pruner expects one of {', '.join(RULES)}, got {pruner}.")
        self.folder, self.metric, self.pruner = folder, metric, pruner
        self.sign = 1 if direction == "maximize" else -1
        self.n_startup_trials, self.n_warmup_steps = n_startup_trials, n_warmup_steps
        self.stopped: tuple[int, float] | None = None
        self._ended: dict[Path, Curve] = {}
        self._unreadable: set[Path] = set()

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        step = trainer.global_step
        if trainer.state.fn != "fit" or trainer.sanity_checking or step == trainer.max_steps:
            return
        values: Mapping[str, float] = module.evaluated["val"][1]  # type: ignore[index,assignment]
        require(
            self.metric in values,
            f"hydra.sweeper.metric expects a number of validations, got {self.metric}; nearest: "
            f"{nearest(self.metric, values) or 'none'}.",
        )
        value = float(values[self.metric])
        # One process decides for all that train this model, since files change meanwhile.
        if trainer.strategy.broadcast(trainer.is_global_zero and self.is_behind(step, value)):
            self.stopped = step, value
            trainer.should_stop = True

    def is_behind(self, step: int, value: float) -> bool:
        """Whether the run, with `value` at `step`, is one to give up."""
        own = {**self._curve(self.folder), step: self.sign * value}
        own = {at: v for at, v in own.items() if at <= step}
        if step < self.n_warmup_steps:
            return False
        others = list(self._others())
        if self.pruner == "median":
            ended = [curve for state, curve in others if state == State.FINISHED]
            return below_median(own, ended, self.n_startup_trials)
        first = max(self.n_warmup_steps, min(own))
        return below_rung(own, [curve for _, curve in others], self.n_startup_trials, first)

    def _others(self) -> Iterator[tuple[str, Curve]]:
        """State and curve of the runs beside; one that can't be read is nothing to fail over."""
        for path in self._beside():
            run = RunFolder(path)
            try:
                yield run.status()["state"], self._curve(run)
            except (UserError, OSError, UnicodeDecodeError) as error:
                if path not in self._unreadable:
                    log.warning("pruning goes on without %s: %s", path.name, error)
                self._unreadable.add(path)

    def _beside(self) -> Sequence[Path]:
        """The other runs of the sweep that are pruned by this metric."""
        mark = f"metric:{self.metric},"
        found = []
        # status.json is what a sweep lays last.
        for status in sorted(self.folder.path.parent.glob("*/status.json")):
            record = status.with_name("job.json")
            if status.parent != self.folder.path and record.exists():
                text = record.read_text()
                if "callbacks.pruning=" in text and mark in text:
                    found.append(status.parent)
        return found

    def _curve(self, run: RunFolder) -> Curve:
        """Of a run; read once where no more will come."""
        if run.path not in self._ended:
            ended = run.path != self.folder.path and run.status()["state"] in (
                State.FINISHED,
                State.PRUNED,
            )
            curve = {step: self.sign * v for step, v in run.read_curve(self.metric).items()}
            if not ended:
                return curve
            self._ended[run.path] = curve
        return self._ended[run.path]


def below_median(own: Curve, finished: Sequence[Curve], n_startup: int) -> bool:
    """Whether the best so far is below the median of finished runs at the newest step.

    The median stopping rule as optuna.pruners.MedianPruner has it; Golovin et al. 2017, "Google
    Vizier", section 3.2.2, compares with running averages instead.
    """
    step = max(own)
    values = [curve[step] for curve in finished if step in curve]
    if len(finished) < max(n_startup, 1) or not values:
        return False
    return not max(own.values()) >= statistics.median(values)  # NaN is behind, too


def below_rung(own: Curve, others: Sequence[Curve], n_startup: int, first: int) -> bool:
    """Whether the newest value is not among the best third of the rung that it has reached.

    Asynchronous successive halving: the rungs are first * 3^k steps, a run is measured at its first
    validation at or after one. Li et al. 2020, "A System for Massively Parallel Hyperparameter
    Tuning", algorithm 2.
    """
    step = max(own)
    before = max((at for at in own if at < step), default=0)
    rung = first
    while rung * KEPT <= step:
        rung *= KEPT
    if not before < rung <= step:
        return False
    reached = [curve for curve in others if max(curve, default=0) >= rung]
    there = [curve[min(at for at in curve if at >= rung)] for curve in reached]
    if len(there) < max(n_startup, 1):
        return False
    values = sorted([*there, own[step]], reverse=True)
    return not own[step] >= values[max(len(values) // KEPT, 1) - 1]
