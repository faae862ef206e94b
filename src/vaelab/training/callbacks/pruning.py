"""Pruning: ends a run of a search when its validations fall behind those of other trials."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from vaelab.errors import nearest, require
from vaelab.runs.folder import RunFolder

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import JournalStorage

log = logging.getLogger(__name__)


class Pruning(pl.Callback):
    """Reports every validation to Optuna, and ends the run when Optuna's pruner decides so.

    `pruned_by` in job.json names the study and the trial. A run without it, trained outside a
    search, or one whose trial has ended, is never pruned.

    Args:
        folder: of the run.
        metric: what is reported, a number of validations such as val/elbo.
        pruner: a class of optuna.pruners, such as MedianPruner.
        settings: its arguments.

    Attributes:
        stopped: the step and the value at which the run was pruned, or None.
    """

    def __init__(self, folder: RunFolder, metric: str, pruner: str, settings: Mapping[str, Any]):
        self.folder, self.metric = folder, metric
        self.pruner, self.settings = pruner, settings
        self.stopped: tuple[int, float] | None = None
        self.study: Study | None = None

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        pruned_by = self.folder.read_job().get("pruned_by")
        if stage != "fit" or not trainer.is_global_zero or not pruned_by:
            return
        file = self.folder.path / pruned_by["study"]
        if not file.exists():
            log.warning("training without pruning, since there is no study %s", file)
            return
        import optuna

        pruner = getattr(optuna.pruners, self.pruner)(**self.settings)
        storage = open_journal(file)
        self.study = optuna.load_study(study_name=pruned_by["name"], storage=storage, pruner=pruner)
        self.number = int(pruned_by["trial"])

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        step = trainer.global_step
        values: Mapping[str, float] = module.evaluated["val"][1]  # type: ignore[index,assignment]
        require(
            self.metric in values,
            f"hydra.sweeper.metric expects a number of validations, got {self.metric}; nearest: "
            f"{nearest(self.metric, values) or 'none'}.",
        )
        value = float(values[self.metric])
        # One process decides for all that train this model.
        is_behind = trainer.strategy.broadcast(self._is_behind(step, value))
        if is_behind and step < trainer.max_steps:
            self.stopped = step, value
            trainer.should_stop = True

    def _is_behind(self, step: int, value: float) -> bool:
        """Report the value, and ask the pruner."""
        if self.study is None:
            return False
        trials = self.study.get_trials(deepcopy=False)
        is_running = self.number < len(trials) and not trials[self.number].state.is_finished()
        return is_running and report(self.study, self.number, {step: value}).should_prune()


def open_journal(file: Path) -> "JournalStorage":
    """Optuna's storage in a file to which processes on several machines append, also on NFS.

    The lock is a file that is created exclusively; one that a killed process left is removed by
    Optuna after 30 seconds.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    return JournalStorage(JournalFileBackend(str(file), JournalFileOpenLock(str(file))))


def report(study: "Study", number: int, curve: Mapping[int, float]) -> "Trial":
    """The running trial of that number, after reporting those values {step: value} that it lacks.

    A resumed run repeats validations.
    """
    import optuna

    known = study.get_trials(deepcopy=False)[number]
    trial = optuna.Trial(study, known._trial_id)
    for step, value in curve.items():
        if step not in known.intermediate_values:
            trial.report(value, step)
    return trial
