"""Checks of a config before anything is built: ranges, and what can't be combined."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf

from vaelab.errors import UserError, require, require_choice, require_range
from vaelab.runs.config import to_container
from vaelab.runs.config_hash import canonical

log = logging.getLogger(__name__)

# Settings that no constructor here checks: of the run, and of classes of other packages.
COUNT = {"integer": True, "at_least": 1}
RANGES: dict[str, dict[str, Any]] = {
    "seed": {"integer": True, "example": 0},
    "latent_dim": COUNT | {"example": 10},
    "batch_size": COUNT | {"unit": "images", "example": 64},
    "eval_batch_size": COUNT | {"unit": "images", "example": 200},
    "num_steps": COUNT | {"example": 2500},
    "val_every_n_steps": COUNT | {"unit": "steps", "example": 500},
    "metrics_every_n_steps": COUNT | {"unit": "steps", "example": 1000},
    "num_threads": COUNT | {"example": 1},
    "optimizer.lr": {"at_least": 0, "example": 1e-3},
    "optimizer.eps": {"at_least": 0, "example": 1e-8},
    "optimizer.weight_decay": {"at_least": 0, "example": 0},
    "lr_scheduler.T_max": COUNT | {"unit": "steps", "example": 2500},
    "lr_scheduler.eta_min": {"at_least": 0, "example": 0},
    "lr_scheduler.gamma": {"above": 0, "example": 0.1},
    "trainer.max_steps": COUNT | {"example": 2500},
    "trainer.log_every_n_steps": COUNT | {"unit": "steps", "example": 50},
    "trainer.gradient_clip_val": {"above": 0, "example": 1.0},
    "trainer.max_epochs": {"integer": True, "at_least": -1, "example": -1},
    "trainer.num_nodes": COUNT | {"example": 1},
    "callbacks.ema.decay": {"at_least": 0, "below": 1, "example": 0.999},
    "callbacks.progress.refresh_rate": COUNT | {"unit": "steps", "example": 20},
    "callbacks.progress.log_rate": COUNT | {"unit": "steps", "example": 500},
}
LISTS: dict[str, dict[str, Any]] = {  # whose items are numbers
    "optimizer.betas": {"at_least": 0, "below": 1, "example": 0.9},
    "lr_scheduler.milestones": COUNT | {"unit": "steps", "example": 1000},
}
LENGTHS = {"optimizer.betas": 2}
BOOLEANS = (
    *("replacement", "compile", "channels_last", "trainer.deterministic", "optimizer.fused"),
    *("trainer.enable_model_summary", "trainer.enable_progress_bar", "trainer.fast_dev_run"),
)
CHOICES: dict[str, tuple[Any, ...]] = {
    "init": ("glorot", "kaiming", "pytorch"),
    "float32_matmul": ("highest", "high", "medium"),
    "trainer.precision": ("32-true", "64-true", "bf16-mixed", "16-mixed", 32, 64, "32", "64"),
    "trainer.accelerator": ("cpu", "gpu", "cuda", "auto"),
}
PARTS = (
    *("data", "model.encoder", "model.decoder", "posterior", "prior", "likelihood", "objective"),
    *("kl_penalty", "optimizer", "trainer"),
)
OPTIONAL = (
    "num_threads",
    "trainer.max_epochs",
    "trainer.gradient_clip_val",
    "optimizer.fused",
)  # null is a value


def check_settings(cfg: DictConfig) -> None:
    """Reject settings that make no sense whatever the data and the model are.

    Raises:
        UserError: naming the setting, what it expects and what it got.
    """
    for part in PARTS:
        node = OmegaConf.select(cfg, part)
        require(
            isinstance(node, DictConfig) and "_target_" in node,
            f"{part} expects a class to build, with _target_, got {node}; choose an option of "
            f"{part.partition('.')[0]}, see `--help {part.partition('.')[0]}`.",
        )
    for name in (*RANGES, *LISTS, *CHOICES, *BOOLEANS):
        value = OmegaConf.select(cfg, name, default="absent")
        if value != "absent" and not (value is None and name in OPTIONAL):
            _check_setting(name, value)
    for name, value in canonical(to_container(cfg), ignore=()).items():
        _check_value(name, value)
    folder = Path(str(cfg.name))
    require(
        not folder.is_absolute() and ".." not in folder.parts,
        f"name expects a folder below output_root, got {cfg.name}; set output_root= to store runs "
        "elsewhere.",
    )


def _check_value(name: str, value: Any) -> None:
    """What holds for every setting: no empty text, no NaN or infinity."""
    for item in value if isinstance(value, list) else [value]:
        require(item != "", f"{name} expects a value, got empty text; leave {name}= out.")
        require(
            not isinstance(item, float) or math.isfinite(item),
            f"{name} expects a finite number, got {item}; `--cfg job` shows the usual one.",
        )


def _check_setting(name: str, value: Any) -> None:
    if name in RANGES:
        require_range(name, value, **RANGES[name])
    elif name in LISTS:
        length = LENGTHS.get(name, len(value) if isinstance(value, ListConfig) else 0)
        require(
            isinstance(value, ListConfig) and len(value) == length,
            f"{name} expects a list of {LENGTHS.get(name, '')} numbers, got {value!r}; `--cfg job` "
            "shows the usual ones.",
        )
        for item in value:
            require_range(name, item, **LISTS[name])
    elif name in CHOICES:
        require_choice(name, value, CHOICES[name])
    else:
        require(isinstance(value, bool), f"{name} expects true or false, got {value!r}; try false.")


def check_batch_size(batch_size: int, num_train: int, *, replacement: bool) -> None:
    """Reject a batch that holds images twice.

    Raises:
        UserError: there are fewer training images than images in a batch.
    """
    require(
        replacement or batch_size <= num_train,
        f"batch_size expects at most the {num_train} training images, got {batch_size}; lower it, "
        "or draw with replacement=true.",
    )


def warn_of_unreached_steps(cfg: DictConfig) -> None:
    """Warn where the run ends before num_steps, or before a schedule does."""
    if cfg.trainer.max_steps < cfg.num_steps:
        log.warning(
            "trainer.max_steps=%s, as of trainer=quick, ends the run before num_steps=%s",
            f"{cfg.trainer.max_steps:,}", f"{cfg.num_steps:,}",
        )  # fmt: skip
    found = {"objective.num_steps": cfg.objective.get("num_steps", 0)}
    if "kl_penalty" in cfg.objective:
        found["kl_penalty.num_steps"] = cfg.kl_penalty.get("num_steps", 0)
    if cfg.lr_scheduler is not None:
        found["lr_scheduler.milestones"] = max(cfg.lr_scheduler.get("milestones") or [0])
    for name, steps in found.items():
        if steps > cfg.num_steps:
            log.warning(
                "%s reaches to step %s, but the run ends at num_steps=%s: it will not be finished",
                name, f"{steps:,}", f"{cfg.num_steps:,}",
            )  # fmt: skip


def check_kl_penalty(objective: Mapping[str, Any], kl_penalty: Mapping[str, Any]) -> None:
    """Reject a KL penalty other than the constant one where the objective has none.

    Raises:
        UserError: it would have no effect.
    """
    name = objective["_target_"].rpartition(".")[2]
    require(
        "kl_penalty" in objective or kl_penalty["_target_"].endswith(".Constant"),
        f"kl_penalty expects an objective with a KL term, got {name}, which would not use it; "
        "leave kl_penalty= out, or use objective=beta_vae.",
    )


def check_trainer(cfg: DictConfig) -> None:
    """Reject settings of the trainer that would not have the effect that they name.

    Raises:
        UserError: 16-bit floats on a CPU, accumulated gradients, clipping that AMP can't do.
    """
    trainer = cfg.trainer
    precision, on_cpu = str(trainer.precision), trainer.accelerator == "cpu"
    if on_cpu and precision in ("16", "16-mixed", "16-true"):
        raise UserError(
            f"trainer.precision={precision} expects a GPU, got trainer.accelerator=cpu; use "
            "trainer.precision=bf16-mixed or trainer=gpu."
        )
    mixed = precision in ("16-mixed", "bf16-mixed")
    if mixed and trainer.gradient_clip_val and cfg.optimizer.get("fused"):
        raise UserError(
            f"gradient clipping in {precision} precision expects an unfused optimiser, got "
            "optimizer.fused=true; set optimizer.fused=false."
        )
    accumulate = trainer.get("accumulate_grad_batches") or 1
    require(
        accumulate == 1,
        f"trainer.accumulate_grad_batches expects 1, got {accumulate}; use a larger batch_size.",
    )
    require(
        not trainer.get("fast_dev_run"),
        "trainer.fast_dev_run expects false, since such a run leaves nothing; use trainer=quick.",
    )
    require(
        trainer.max_epochs in (None, -1) or trainer.max_epochs >= 1,
        f"trainer.max_epochs expects -1 or at least 1, got {trainer.max_epochs}; set num_steps=.",
    )
    if trainer.accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError("trainer=gpu expects a CUDA device, got none; use trainer=cpu.")
