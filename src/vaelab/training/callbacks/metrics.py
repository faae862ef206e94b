"""Metrics of a run in training: in the loggers at validations, in metrics.json at the end."""

import time
from collections.abc import Mapping
from typing import Any, cast

import pytorch_lightning as pl
import torch

from vaelab.errors import require
from vaelab.metrics import Metric, Score
from vaelab.metrics.base import without_intervals
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.models import VAE
from vaelab.runs.checkpoint import weights_digest
from vaelab.runs.folder import RunFolder
from vaelab.runs.score_records import record_scores, score_identity
from vaelab.seeding import random_stream


class Metrics(pl.Callback):
    """Logs `metrics/<score>` of the model as it is; training does not notice.

    Args:
        folder: the run's; the final scores go into its metrics.json.
        metrics: by name.
        configs: their settings, which are recorded with the scores.
        every_n_steps: compute at the first validation this many steps after the last time, and at
            the end of training.
    """

    def __init__(
        self,
        folder: RunFolder,
        metrics: Mapping[str, Metric],
        configs: Mapping[str, Any],
        every_n_steps: int,
    ):
        require(
            every_n_steps >= 1, f"metrics_every_n_steps expects at least 1, got {every_n_steps}."
        )
        self.folder, self.metrics, self.configs = folder, metrics, configs
        self.without_intervals = {name: without_intervals(m) for name, m in metrics.items()}
        self.every_n_steps = every_n_steps
        self.last_computed = 0
        self.results: dict[str, tuple[dict[str, Score], float]] = {}

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # Not on_validation_end: averaged weights (callbacks.ema) are in place only until here.
        fitting = trainer.state.fn == "fit" and not trainer.sanity_checking
        if fitting and trainer.global_step - self.last_computed >= self.every_n_steps:
            self.compute(trainer, module, self.without_intervals)

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.compute(trainer, module, self.metrics)
        if not trainer.is_global_zero:
            return
        weights = weights_digest(cast(VAE, module.model))
        checksum = trainer.datamodule.splits.checksum  # type: ignore[attr-defined]
        for name, (scores, seconds) in self.results.items():
            identity = score_identity(self.configs[name], weights, checksum, "last")
            record_scores(self.folder, name, scores, trainer.global_step, identity, seconds)

    def state_dict(self) -> dict[str, int]:
        return {"last_computed": self.last_computed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.last_computed = state["last_computed"]

    def compute(
        self, trainer: pl.Trainer, module: pl.LightningModule, metrics: Mapping[str, Metric]
    ) -> None:
        """Score the model as it is, to the loggers."""
        logged = self.last_computed == trainer.global_step
        self.last_computed = trainer.global_step
        if not trainer.is_global_zero:
            return
        was_training = module.training
        module.eval()
        encoded = EncodedDataset(cast(VAE, module.model), trainer.datamodule.splits)  # type: ignore[attr-defined]
        with random_stream("metrics"), torch.no_grad():
            for name, metric in metrics.items():
                start = time.perf_counter()
                scores = metric(encoded)
                self.results[name] = scores, time.perf_counter() - start
                if not logged:  # by the run that was resumed here
                    self._log(trainer, scores)
        module.train(was_training)

    def _log(self, trainer: pl.Trainer, scores: Mapping[str, Score]) -> None:
        values = {f"metrics/{name}": float(score) for name, score in scores.items()}
        for logger in trainer.loggers:
            logger.log_metrics(values, trainer.global_step)
