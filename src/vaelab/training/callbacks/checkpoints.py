"""Checkpoints: the last, to resume from, and the best."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO

from vaelab.errors import require
from vaelab.files import copy_atomically
from vaelab.models import VAE
from vaelab.runs.checkpoint import load_checkpoint, save_checkpoint
from vaelab.runs.folder import RunFolder
from vaelab.runs.signals import Terminated, handle_at_step


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, written by `save_checkpoint` and checked when they are read."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None):
        save_checkpoint(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, *_: Any, **__: Any) -> dict[str, Any]:
        return load_checkpoint(Path(path))


class Checkpoints(pl.Callback):
    """Saves last.ckpt every `every_n_steps` steps and at the end, best.ckpt after a validation.

    The last.ckpt before is kept as previous.ckpt.

    The best has the highest val/elbo; of an autoencoder, which has none, the lowest
    val/reconstruction.

    A step at which a validation is due is saved after it, so that a resumed run neither repeats nor
    skips the validation (ModelCheckpoint saves before it, and Lightning's resumed run skips it).

    SIGTERM, by which a cluster announces that it takes the machine away, ends training after the
    step or the validation in which it came, saved: no step is lost. So does Ctrl-C, once.

    Args:
        folder: the run's.
        every_n_steps: steps between two saves of last.ckpt.

    Attributes:
        monitor: val/elbo or val/reconstruction.
        best_score: the ELBO of best.ckpt, or minus its reconstruction.
        best_step: its step, -1 before there is one.
    """

    def __init__(self, folder: RunFolder, every_n_steps: int):
        require(
            every_n_steps >= 1,
            f"every_n_steps expects at least 1, got {every_n_steps}.",
        )
        self.every_n_steps = every_n_steps
        self.last, self.best = folder.last_checkpoint, folder.best_checkpoint
        self.previous, self.require_owner = folder.previous_checkpoint, folder.require_owner
        self.best_score, self.best_step = -float("inf"), -1
        self.monitor = "val/elbo"
        self._signal: int | None = None  # the number of a signal
        self._stopping = False
        self._restore_handlers: Callable[[], None] = lambda: None

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        if not cast(VAE, module.model).posterior.has_density:
            self.monitor = "val/reconstruction"

    @property
    def best_value(self) -> float:
        """What `monitor` was at best_step."""
        return self.best_score if self.monitor == "val/elbo" else -self.best_score

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # In place of Lightning's, which would end a validation in its middle.
        self._restore_handlers = handle_at_step(self._request_stop)

    def on_train_batch_start(self, *_: Any) -> None:
        # Here and not where it was saved: Lightning logs the step after on_train_batch_end.
        if self._stopping:
            raise self._termination()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # The validation and the test of the final weights have nothing to save: they end at once.
        self._restore_handlers()
        if self._should_stop(trainer):
            raise self._termination()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        interval = int(trainer.val_check_batch or 1)
        validates = trainer.enable_validation and step % interval == 0
        ends = step == trainer.max_steps or trainer.should_stop
        self._stopping = self._should_stop(trainer)
        if (step % self.every_n_steps == 0 or ends or self._stopping) and not validates:
            self._save(trainer, module, self.last)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        value = float(module.evaluated["val"][1][self.monitor])  # type: ignore[index]
        score = value if self.monitor == "val/elbo" else -value
        if score > self.best_score:
            self.best_score, self.best_step = score, trainer.global_step
            self._save(trainer, module, self.best)
        self._save(trainer, module, self.last)

    def state_dict(self) -> dict[str, Any]:
        return {"best_score": self.best_score, "best_step": self.best_step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best_score, self.best_step = state["best_score"], state["best_step"]

    def _request_stop(self, number: int) -> None:
        self._signal = number

    def _termination(self) -> Terminated:
        return Terminated(self._signal or signal.SIGTERM)

    def _should_stop(self, trainer: pl.Trainer) -> bool:
        """Whether any process got a signal: they arrive at different steps in each."""
        signalled = self._signal is not None
        if trainer.world_size == 1:
            return signalled
        return trainer.strategy.reduce_boolean_decision(signalled, all=False)

    def _save(self, trainer: pl.Trainer, module: pl.LightningModule, path: Path) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                logger.experiment.flush()  # a resumed run writes only what comes after this step
        if path == self.last and path.exists() and trainer.is_global_zero:
            self.require_owner()
            copy_atomically(path, self.previous)
        trainer.save_checkpoint(path, weights_only=False)  # with optimiser and step
        module.last_checkpoint = f"{path} (step {trainer.global_step})"  # type: ignore[assignment]
