"""Callbacks that measure a run from inside; only the benchmark adds them."""

import os
import time
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch

from vaelab.training.module import TrainingModule


class FirstStep(pl.Callback):
    """Writes the time of the end of the first optimizer step to `path` and ends the process."""

    def __init__(self, path: str):
        self.path = Path(path)

    def on_train_batch_end(self, *_: Any) -> None:
        self.path.write_text(str(time.time()))
        os._exit(0)


class GPUMemory(pl.Callback):
    """Puts the peak memory of the GPU into the run's metrics."""

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        gigabytes = torch.cuda.max_memory_reserved() / 1e9
        cast(TrainingModule, module).evaluated["gpu"] = (
            trainer.global_step,
            {"gpu_memory_gb": gigabytes},
        )
