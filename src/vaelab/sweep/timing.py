"""What a step of a job takes, by doing some: python -m vaelab.sweep.timing FOLDER ..."""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from vaelab import build
from vaelab.runs.config import load_current_config
from vaelab.runs.process import tune_malloc
from vaelab.training.callbacks import Stopwatch

NUM_SKIPPED, NUM_TIMED = 5, 20
FLOATS_A_PARAMETER = 3  # in a checkpoint: itself and Adam's two moments
NUM_CHECKPOINTS = 2  # last and best
BYTES = 4


def measure(folder: Path) -> dict[str, float]:
    """Seconds of a training step of the job in `folder`, and the bytes it will leave there.

    Nothing is written. A compiled job is timed uncompiled: compiling would take a minute.

    Returns:
        seconds_per_step; num_bytes of checkpoints and, where it is evaluated, of codes.
    """
    cfg = load_current_config(folder / "config.yaml")
    cfg.compile = False
    cfg.trainer.max_steps = NUM_SKIPPED + NUM_TIMED
    cfg.trainer.limit_val_batches, cfg.trainer.enable_progress_bar = 0, False
    tune_malloc()
    if cfg.num_threads:
        torch.set_num_threads(cfg.num_threads)
    data = build.build_data(cfg)
    model = build.build_model(cfg, data.image_shape)
    objective = build.build_objective(cfg, len(data.splits.train))
    module = build.build_training_module(cfg, model, objective, data)
    stopwatch = Stopwatch(skip=NUM_SKIPPED)
    build.build_trainer(cfg, [stopwatch], []).fit(module, datamodule=data)
    num_parameters = sum(p.numel() for p in module.parameters())
    num_bytes = num_parameters * FLOATS_A_PARAMETER * NUM_CHECKPOINTS * BYTES
    if cfg.get("evaluation"):
        num_bytes += len(data.splits.train) * model.posterior.num_params * BYTES
    return {"seconds_per_step": 1 / stopwatch.steps_per_second, "num_bytes": num_bytes}


def main() -> None:
    """A line of JSON for each folder; {} for one that can't be trained here."""
    for path in sys.argv[1:]:
        facts: dict[str, Any] = {}
        try:
            facts = measure(Path(path))
        except Exception as error:
            print(f"{path}: {error}", file=sys.stderr)
        print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
