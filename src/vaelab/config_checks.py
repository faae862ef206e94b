"""Checks of a config before anything is built: types, and what can't be combined."""

import inspect
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import torch
from hydra.utils import get_object
from omegaconf import DictConfig

from vaelab.errors import UserError, require

log = logging.getLogger(__name__)

KINDS: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("an integer", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    float: (
        "a finite number",
        lambda value: (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ),
    ),
    str: ("text", lambda value: isinstance(value, str)),
    NoneType: ("null", lambda value: value is None),
}


def check_types(node: Any) -> None:
    """Require values of the types that the constructors' signatures name, throughout a node.

    Raises:
        UserError: "objective.beta expects a finite number, got 'x'; see ..."
    """
    if not isinstance(node, DictConfig):
        return
    target = str(node.get("_target_") or "")
    hints = argument_types(target) if target.startswith("vaelab.") else {}
    for name, value in node.items():
        check_types(value)
        if name in hints and not isinstance(value, DictConfig):
            _check_type(node._get_full_key(str(name)), value, hints[str(name)])


def argument_types(target: str) -> dict[str, Any]:
    """{argument: annotation} of a class or function given by its dotted name."""
    function = get_object(target)
    function = function.__init__ if inspect.isclass(function) else function
    return get_type_hints(function)


def _check_type(key: str, value: Any, annotation: Any) -> None:
    expected = _describe(annotation)
    require(
        expected is None or _matches(value, annotation),
        f"{key} expects {expected}, got {value!r}; `--help {key.partition('.')[0]}` describes it.",
    )


def _describe(annotation: Any) -> str | None:
    """A description of an annotation; None for those that are not checked."""
    if annotation in KINDS:
        return KINDS[annotation][0]
    if get_origin(annotation) in (Union, UnionType):
        parts = [_describe(part) for part in get_args(annotation)]
        return None if None in parts else " or ".join(map(str, parts))
    if get_origin(annotation) in (list, Sequence, tuple):
        part = _describe(get_args(annotation)[0])
        return None if part is None else f"a list, each {part}"
    return None


def _matches(value: Any, annotation: Any) -> bool:
    if annotation in KINDS:
        return KINDS[annotation][1](value)
    if get_origin(annotation) in (Union, UnionType):
        return any(_matches(value, part) for part in get_args(annotation))
    # A list, as ListConfig; strings are sequences too.
    items = get_args(annotation)[0]
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and all(_matches(item, items) for item in value)


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
    if trainer.accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError("trainer=gpu expects a CUDA device, got none; use trainer=cpu.")
