"""Load finished runs from their folders."""

import os
from pathlib import Path

import torch
from omegaconf import OmegaConf

from vaelab import build
from vaelab.errors import UserError
from vaelab.loaded_run import Run
from vaelab.runs.checkpoint import load_checkpoint
from vaelab.runs.config import require_current
from vaelab.runs.folder import RunFolder, find_runs
from vaelab.seeding import random_stream


def load_run(
    folder: str | os.PathLike,
    checkpoint: str = "last",
    device: str | torch.device = "cpu",
    data_root: str | None = None,
) -> Run:
    """Load a run from its folder or from a checkpoint alone.

    Args:
        folder: what the run printed at its end, such as outputs/main/<time>; or a checkpoint. A
            checkpoint outside a run folder gets a folder beside it for what is computed about it.
        checkpoint: "last", or "best" for the best val/elbo (without one, val/reconstruction).
        device: of the model.
        data_root: where the data is stored now, if it has moved since training.

    Raises:
        UserError: there is no run, or the checkpoint is missing, damaged or of another program.
    """
    run, path = _find_checkpoint(Path(folder), checkpoint)
    content = load_checkpoint(path)
    config = require_current(OmegaConf.create(content["config"]), path)
    state = content["state_dict"]
    with random_stream("load"):
        shape = tuple(content["image_shape"])
        model = build.build_model(config, shape, content["class_sizes"])
    weights = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} expects the weights of its config, got others: {reason}; use another "
            "checkpoint of the run."
        ) from error
    model = model.to(device).eval().requires_grad_(False)
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)  # twice as fast, as in training
    return Run(run, config, model, content["global_step"], path, data_root)


def load_runs(
    folder: str | os.PathLike,
    checkpoint: str = "last",
    device: str | torch.device = "cpu",
    data_root: str | None = None,
) -> list[Run]:
    """Load all finished runs below a folder, such as those of a sweep, in order of their names.

    Args: as for `load_run`.

    Raises:
        UserError: there is no finished run, or one that can't be loaded.
    """
    paths = find_finished_runs(folder)
    return [load_run(path, checkpoint, device, data_root) for path in paths]


def find_finished_runs(folder: str | os.PathLike) -> list[Path]:
    """The finished runs below a folder; a run by its own path also if it has not finished.

    Runs that a callback such as EarlyStopping stopped count as finished.

    Raises:
        UserError: there is none.
    """
    runs = find_runs(folder)
    if len(runs) == 1:
        return [runs[0].path]
    finished = [run.path for run in runs if run.state().is_trained]
    if not finished:
        raise UserError(
            f"expected finished runs below {folder}, got {len(runs)} of which none has finished; "
            "resume them with resume=, or name one by its own path."
        )
    return finished


def _find_checkpoint(path: Path, name: str) -> tuple[RunFolder, Path]:
    """The run folder and the checkpoint of a path and a name."""
    if path.is_file():
        above = path.parent.parent
        inside = path.parent.name == "checkpoints" and (above / "status.json").exists()
        return RunFolder(above if inside else path.with_suffix("")), path
    run = RunFolder(path)
    run.status()
    files = {"last": run.last_checkpoint, "best": run.best_checkpoint}
    file = files.get(name)
    if file is None or not file.exists():
        there = [known for known, file in files.items() if file.exists()]
        raise UserError(
            f"expected a checkpoint called last or best in {run.path}, got {name!r}; there "
            f"is {' and '.join(there) or 'none yet, resume the run with resume='}."
        )
    return run, file
