"""A whole run: train, then evaluate. A single run and a job of a sweep alike."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from vaelab import build
from vaelab.errors import require, sentence
from vaelab.evaluate import evaluate
from vaelab.runs.config import to_container
from vaelab.runs.config_hash import evaluation_hashes
from vaelab.runs.folder import RunFolder
from vaelab.runs.process import is_main_process
from vaelab.train import train

log = logging.getLogger(__name__)


def train_and_evaluate(cfg: DictConfig, path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Train into `path`, then compute the metrics of `cfg.evaluation`; returns all metrics."""
    metrics = train(cfg, path, list(overrides))
    return metrics | evaluate_run(RunFolder(path), cfg) if is_main_process() else metrics


def evaluate_run(folder: RunFolder, cfg: DictConfig) -> dict[str, Any]:
    """metrics.json of a run, after those metrics of `cfg.evaluation` that it lacks if it finished.

    Raises:
        UserError: a metric could not be computed; the others are in metrics.json.
    """
    chosen, state = build.build_metrics(cfg.get("evaluation")), folder.state()
    if chosen and state.is_trained:
        try:
            _evaluate(folder, cfg, chosen)
        except Exception as error:
            # Trained it is; what is missing is tried again by the same command.
            known = folder.status().get("evaluated", {})
            folder.set_status(state, evaluated=known, error=f"evaluation: {sentence(error)}")
            raise
        known = folder.status().get("evaluated", {})
        folder.set_status(state, evaluated=known | evaluation_hashes(to_container(cfg)))
        shutil.rmtree(folder.codes, ignore_errors=True)  # 60 MB a run, for what is done with
    return folder.read_metrics()


def _evaluate(folder: RunFolder, cfg: DictConfig, chosen: Mapping[str, Any]) -> None:
    has_gpu = cfg.trainer.accelerator != "cpu" and torch.cuda.is_available()
    found = evaluate(
        folder.path,
        chosen,
        to_container(cfg)["evaluation"],
        device="cuda" if has_gpu else "cpu",
        data_root=cfg.data_root if cfg.data.get("root") == cfg.data_root else None,
        skip_inapplicable=True,
        figures=False,
    )
    failed: list[str] = []
    for one in found:
        failed += one.failed.values()
        for why, names in (
            ("the data has no factors", one.skipped),
            ("they are not defined for the posterior, the prior or without classes", one.undefined),
        ):
            if names:
                log.warning("left out, since %s: %s", why, ", ".join(names))
    require(not failed, "; ".join(failed))
