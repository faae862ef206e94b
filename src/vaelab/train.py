"""Training, from a config to a run folder: prepare, build, fit, evaluate, record."""

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ProgressBar, Timer
from pytorch_lightning.loggers import TensorBoardLogger

from vaelab import build, config_checks
from vaelab.errors import UserError, require, sentence
from vaelab.files import read_json, write_json
from vaelab.runs.checkpoint import load_checkpoint
from vaelab.runs.config import to_container
from vaelab.runs.config_hash import GROWING, NOT_HASHED, differences
from vaelab.runs.folder import RunFolder
from vaelab.runs.heartbeat import Heartbeat, heartbeat
from vaelab.runs.loggers import comparable_settings, log_hparams
from vaelab.runs.process import is_main_process, prepare_process, silence_lightning
from vaelab.runs.provenance import provenance
from vaelab.runs.signals import terminate_on_sigterm
from vaelab.runs.status import LostRun, State
from vaelab.training.callbacks import Checkpoints, Pruning, Stopwatch

log = logging.getLogger(__name__)


def train(cfg: DictConfig, path: str | os.PathLike, overrides: list[str]) -> dict[str, Any]:
    """Train the model of `cfg` into the run folder `path`, or resume it there with `cfg.resume`.

    Args:
        overrides: the command line, for provenance.json.

    Returns:
        The final metrics, as in metrics.json.

    Raises:
        UserError: the config, the data or the folder can't be used; status.json then says failed.
    """
    folder = RunFolder(path)
    resume, cfg = bool(cfg.resume), cfg.copy()
    cfg.resume = None
    with terminate_on_sigterm(), _status_of(folder, cfg, resume=resume) as heart:
        _prepare(cfg)
        parts = build.build_run(cfg)
        if is_main_process():
            _add_provenance(folder, overrides, parts.data.splits.checksum)
        trainer = _build_trainer(cfg, folder, parts)
        heart.watch(trainer)
        _fit(trainer, parts, folder)
        metrics = _evaluate(trainer, parts, cfg)
        if is_main_process():
            _record(folder, trainer, metrics, cfg)
        _require_finite(metrics)
        heart.ending = _final_status(trainer)
        return metrics


@contextmanager
def _status_of(folder: RunFolder, cfg: DictConfig, *, resume: bool) -> Iterator[Heartbeat]:
    """Save the config and keep status.json true: running, then finished, failed or interrupted.

    Of the processes that train one model together the first one writes it.
    """
    if not is_main_process():
        yield Heartbeat()
        return
    config = OmegaConf.to_yaml(cfg, resolve=True)
    if resume:
        folder.reopen(config)
    else:
        folder.claim(config)
    try:
        with heartbeat(folder) as heart:
            yield heart
        folder.set_status(**heart.ending)
    except LostRun:
        raise  # the status is that of another process
    except (KeyboardInterrupt, SystemExit) as stop:
        _set_final_status(folder, State.INTERRUPTED, type(stop).__name__)
        log.warning("interrupted; resume it with resume=%s", folder.path)
        raise
    except BaseException as error:
        _set_final_status(folder, State.FAILED, sentence(error))
        raise


def _set_final_status(folder: RunFolder, state: State, error: str) -> None:
    """Record why the run stopped, unless the disk is the reason."""
    try:
        folder.set_status(state, error=error)
    except UserError as problem:
        log.warning(problem)


def _prepare(cfg: DictConfig) -> None:
    """Set up this process, and warn of steps that will not be reached."""
    silence_lightning(
        keep_info=bool(cfg.trainer.enable_model_summary or cfg.trainer.get("profiler"))
    )
    prepare_process(cfg.num_threads)
    config_checks.warn_of_unreached_steps(cfg)


def _build_trainer(cfg: DictConfig, folder: RunFolder, parts: build.RunParts) -> pl.Trainer:
    """Lightning's Trainer with the callbacks and loggers of the config."""
    metrics = build.metrics_callback(
        cfg,
        folder,
        factors=parts.data.splits.factors,
        model=parts.model,
    )
    chosen = [*metrics, *build.build_all(cfg.callbacks, folder)]
    if not cfg.trainer.enable_progress_bar:  # which Lightning would take for a contradiction
        chosen = [callback for callback in chosen if not isinstance(callback, ProgressBar)]
    # Checkpoints last, since they hold what the others did in the step.
    chosen.sort(key=lambda callback: isinstance(callback, Checkpoints))
    loggers = build.build_all(cfg.logger, folder)
    return build.build_trainer(cfg, [Stopwatch(), *chosen], loggers)


def _fit(trainer: pl.Trainer, parts: build.RunParts, folder: RunFolder) -> None:
    """Train, from the last checkpoint where there is one."""
    checkpoint = folder.resume_checkpoint()
    if checkpoint:
        _require_same_config(checkpoint, parts.module.config)
        log.info("resuming %s at step %d", folder.path, folder.last_step)
        parts.module.last_checkpoint = f"{checkpoint} (step {folder.last_step})"
    trainer.fit(parts.module, datamodule=parts.data, ckpt_path=checkpoint)


def _require_same_config(checkpoint: Path, config: dict[str, Any]) -> None:
    """Reject a checkpoint of another run, and a config.yaml that was changed by hand.

    Raises:
        UserError: naming the settings that differ. More steps are no difference.
    """
    saved = load_checkpoint(checkpoint)["config"]
    changes = differences(saved, config, ignore=(*NOT_HASHED, *GROWING))
    rows = "; ".join(f"{key}: {old} -> {new}" for key, (old, new) in changes.items())
    require(
        not changes,
        f"resume expects the config that {checkpoint} was trained with, got another: {rows}; put "
        "config.yaml back as it was (the checkpoint holds a copy), or start a new run.",
    )


def _evaluate(trainer: pl.Trainer, parts: build.RunParts, cfg: DictConfig) -> dict[str, Any]:
    """val/ and test/ of the final weights, and what training took."""
    module, step = parts.module, trainer.global_step
    if trainer.limit_val_batches and module.evaluated.get("val", (-1,))[0] != step:
        trainer.validate(module, datamodule=parts.data, verbose=False)
    if parts.data.splits.test is not None and trainer.limit_test_batches:
        trainer.test(module, datamodule=parts.data, verbose=False)
    metrics: dict[str, Any] = {}
    for _, values in module.evaluated.values():
        metrics |= values
    for checkpoints in _callbacks(trainer, Checkpoints):
        if checkpoints.best_step >= 0:
            best = checkpoints.best_value
            metrics |= {"best/step": checkpoints.best_step, f"best/{checkpoints.monitor}": best}
    (stopwatch,) = _callbacks(trainer, Stopwatch)
    return metrics | {
        "num_steps": step,
        "seconds": round(stopwatch.total_seconds(), 3),
        "images_per_second": round(stopwatch.steps_per_second * cfg.batch_size, 1),
        "num_parameters": sum(p.numel() for p in module.model.parameters()),
    }


def _callbacks(trainer: pl.Trainer, kind: type) -> list[Any]:
    return [one for one in trainer.callbacks if isinstance(one, kind)]  # type: ignore[attr-defined]


def _record(
    folder: RunFolder, trainer: pl.Trainer, metrics: dict[str, Any], cfg: DictConfig
) -> None:
    """The final metrics in metrics.json, and a row of TensorBoard's HParams tab."""
    folder.add_metrics(metrics)
    history = read_json(folder.provenance, list, "move it away")
    typed = [override for entry in history for override in entry.get("overrides", [])]
    settings = comparable_settings(to_container(cfg), typed)
    new = {k: v for k, v in metrics.items() if not k.startswith(("val/", "test/"))}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            log_hparams(logger, settings, new, trainer.global_step)


def _require_finite(metrics: dict[str, Any]) -> None:
    """Reject final metrics that are not numbers, so that no such run counts as finished.

    Raises:
        UserError: naming the first of them.
    """
    for name, value in metrics.items():
        require(
            math.isfinite(value),
            f"training expects finite final metrics, got {name} = {value}; lower optimizer.lr, or "
            "evaluate checkpoint=best.",
        )


def _final_status(trainer: pl.Trainer) -> dict[str, Any]:
    """What status.json says at the end: finished, or why training ended before num_steps."""
    for pruning in _callbacks(trainer, Pruning):
        if pruning.stopped:
            step, value = pruning.stopped
            return {"state": State.PRUNED, "step": step, pruning.metric: value}
    steps = {"step": trainer.global_step, "num_steps": trainer.max_steps}
    if trainer.global_step >= trainer.max_steps:
        return {"state": State.FINISHED}
    if any(timer.time_remaining() <= 0 for timer in _callbacks(trainer, Timer)):
        return {"state": State.OUT_OF_TIME} | steps
    return {"state": State.STOPPED_EARLY} | steps


def _add_provenance(folder: RunFolder, overrides: list[str], checksum: str) -> None:
    history: list[Any] = []
    if folder.provenance.exists():
        try:
            history = read_json(folder.provenance, list, "it is kept as provenance.damaged")
        except UserError as error:  # no reason to end the run
            log.warning(error)
            folder.provenance.replace(folder.provenance.with_suffix(".damaged"))
    write_json(folder.provenance, [*history, provenance(overrides, checksum)])
