"""One training run, from a config to a run folder."""

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import TensorBoardLogger

from vaelab import build
from vaelab.errors import sentence
from vaelab.files import write_atomically, write_json
from vaelab.models import VAE
from vaelab.runs.folder import RunFolder
from vaelab.runs.heartbeat import Heartbeat, heartbeat
from vaelab.runs.loggers import log_hparams
from vaelab.runs.process import is_main_process, tune_malloc
from vaelab.runs.provenance import provenance
from vaelab.runs.signals import ending_on_sigterm
from vaelab.runs.status import State
from vaelab.seeding import derive_seed
from vaelab.training.callbacks import Checkpoints, Pruning, Stopwatch
from vaelab.training.module import TrainingModule

log = logging.getLogger(__name__)


def train(cfg: DictConfig, path: str | os.PathLike, overrides: list[str]) -> dict[str, Any]:
    """Train as `cfg` says into the run folder `path`, new or, with `cfg.resume`, stopped.

    Returns:
        The final metrics, as in metrics.json.

    Raises:
        UserError: the config, the data or the folder can't be used; status.json then says failed.
    """
    folder = RunFolder(path)
    # Of the processes that train one model together the first one records.
    is_main = is_main_process()
    recorded = _recorded(folder, resume=bool(cfg.resume), is_main=is_main)
    with ending_on_sigterm(), recorded as heart:
        cfg = cfg.copy()
        cfg.resume = None
        if is_main:
            # First of all, so that a run which fails at once can still be told from others.
            text = OmegaConf.to_yaml(cfg, resolve=True)
            write_atomically(folder.config, lambda file: file.write(text.encode()))
        _quieten()
        tune_malloc()
        if cfg.num_threads:
            torch.set_num_threads(cfg.num_threads)
        build.warn_of_unfinished(cfg)
        data = build.build_data(cfg)
        torch.manual_seed(derive_seed("init", cfg.seed))
        model = build.build_model(cfg, data.image_shape)
        objective = build.build_objective(cfg, len(data.splits.train))
        module = build.build_training_module(cfg, model, objective, data)
        if is_main:
            _add_provenance(folder, overrides, data.splits.checksum)
        stopwatch = Stopwatch()
        callbacks = [stopwatch, *_callbacks(cfg, folder, model, data)]
        trainer = build.build_trainer(cfg, callbacks, build.build_all(cfg.logger, folder))
        heart.watch(trainer)
        checkpoint = folder.last_checkpoint if folder.last_step else None
        if checkpoint:
            log.info("going on with %s from step %d", folder.path, folder.last_step)
            module.last_checkpoint = f"{checkpoint} (step {folder.last_step})"
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
        metrics = _final_metrics(trainer, module, data, stopwatch, cfg)
        if is_main:
            folder.add_metrics(metrics)
            shown = [k for k in metrics if k.startswith(("val/", "test/")) and "latent" not in k]
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    log_hparams(logger, _hparams(cfg), shown)
        for callback in callbacks:
            if isinstance(callback, Pruning) and callback.stopped:
                step, value = callback.stopped
                heart.ending = {"state": State.PRUNED, "step": step, callback.metric: value}
        return metrics


def _callbacks(
    cfg: DictConfig, folder: RunFolder, model: VAE, data: build.ImageDataModule
) -> list[pl.Callback]:
    """Those of the config; checkpoints last, for they hold what the others did in the step."""
    measuring = build.metrics_callback(
        cfg,
        folder,
        has_factors=data.splits.factors is not None,
        has_density=model.posterior.has_density,
    )
    chosen = [*measuring, *build.build_all(cfg.callbacks, folder)]
    return sorted(chosen, key=lambda one: isinstance(one, Checkpoints))


@contextmanager
def _recorded(folder: RunFolder, *, resume: bool, is_main: bool) -> Iterator[Heartbeat]:
    """Keep status.json true: running, then finished, failed with the error, or interrupted."""
    if not is_main:
        yield Heartbeat()
        return
    if resume:
        folder.reopen()
    else:
        folder.claim()
    try:
        with heartbeat(folder) as heart:
            yield heart
    except (KeyboardInterrupt, SystemExit) as stop:
        folder.set_status(State.INTERRUPTED, error=type(stop).__name__)
        log.warning("interrupted; go on with it by resume=%s", folder.path)
        raise
    except BaseException as error:
        folder.set_status(State.FAILED, error=sentence(error))
        raise
    folder.set_status(**heart.ending)


def _add_provenance(folder: RunFolder, overrides: list[str], checksum: str) -> None:
    history = json.loads(folder.provenance.read_text()) if folder.provenance.exists() else []
    write_json(folder.provenance, [*history, provenance(overrides, checksum)])


def _final_metrics(
    trainer: pl.Trainer,
    module: TrainingModule,
    data: build.ImageDataModule,
    stopwatch: Stopwatch,
    cfg: DictConfig,
) -> dict[str, Any]:
    """val/ and test/ of the final weights, and what training took."""
    step = trainer.global_step
    if trainer.limit_val_batches and module.evaluated.get("val", (-1,))[0] != step:
        trainer.validate(module, datamodule=data, verbose=False)
    if data.splits.test is not None and trainer.limit_test_batches:
        trainer.test(module, datamodule=data, verbose=False)
    metrics: dict[str, Any] = {}
    for _, values in module.evaluated.values():
        metrics |= values
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Checkpoints) and callback.best_step >= 0:
            best = {
                "best/step": callback.best_step,
                f"best/{callback.monitor}": callback.best_value,
            }
            metrics |= best
    return metrics | {
        "num_steps": step,
        "seconds": round(stopwatch.total_seconds(), 3),
        "images_per_second": round(stopwatch.steps_per_second * cfg.batch_size, 1),
        "num_parameters": sum(p.numel() for p in module.model.parameters()),
    }


def _hparams(cfg: DictConfig) -> dict[str, Any]:
    """The settings a reader compares runs by, under short names: beta and not objective.beta."""
    names = ("seed", "latent_dim", "batch_size", "num_steps", "init", "pixels")
    parts = {
        name: cfg[name]
        for name in ("data", "posterior", "prior", "likelihood", "objective", "kl_penalty")
    }
    scalars = int | float | str
    return (
        {name: cfg[name] for name in names}
        | {name: part._target_.rpartition(".")[2] for name, part in parts.items()}
        | {"network": cfg.model.encoder._target_.rpartition(".")[2]}
        | {
            str(name): value
            for name, value in cfg.objective.items()
            if isinstance(value, scalars) and name != "_target_"
        }
        | {"lr": cfg.optimizer.get("lr"), "precision": str(cfg.trainer.precision)}
    )


def _quieten() -> None:
    """Drop Lightning's advertisements, and warnings that do not apply to data in memory."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    rank_zero = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    rank_zero.addFilter(lambda record: "Tip:" not in record.getMessage())
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*The number of training batches.*")
