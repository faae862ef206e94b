"""How long training took, without validation, figures and checkpoints."""

import time
from typing import Any

import pytorch_lightning as pl


class Stopwatch(pl.Callback):
    """Measures `seconds` (the whole of fit) and `training_seconds` (its training steps alone).

    Both continue where they were when a run is resumed. The first `skip` steps of a process, which
    compile and fill caches, count in `seconds` only.
    """

    def __init__(self, skip: int = 10):
        self.skip = skip
        self.seconds = self.training_seconds = 0.0
        self.training_steps = 0

    @property
    def steps_per_second(self) -> float:
        """Training steps per second of training."""
        return self.training_steps / self.training_seconds if self.training_seconds else 0.0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._started = self._step_ended = time.perf_counter()
        self._to_skip = self.skip

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        # A step is taken to begin when the one before ended, so that loading its batch counts,
        # unless something else (a validation) came between.
        if self._step_ended == 0.0:
            self._step_ended = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        now = time.perf_counter()
        if self._to_skip:
            self._to_skip -= 1
        else:
            self.training_seconds += now - self._step_ended
            self.training_steps += 1
        self._step_ended = now

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._step_ended = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {
            "seconds": self.total_seconds(),
            "training_seconds": self.training_seconds,
            "training_steps": self.training_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seconds = state["seconds"]
        self.training_seconds = state["training_seconds"]
        self.training_steps = state["training_steps"]

    def total_seconds(self) -> float:
        """Seconds in fit so far, those before a resume included."""
        started = getattr(self, "_started", None)
        return self.seconds + (time.perf_counter() - started if started else 0.0)
