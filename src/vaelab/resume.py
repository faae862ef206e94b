"""Going on with a stopped run: from its folder alone, and only as the same run."""

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from omegaconf import DictConfig

from vaelab import build
from vaelab.errors import UserError
from vaelab.run_folder import RunFolder

# The settings that num_steps decides; more steps are the one change a resumed run may have.
GROWN = {"num_steps", "trainer.max_steps"}


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content on the CPU; nothing in it is executed.

    Raises:
        UserError: the file is damaged or was not written by vaelab.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, OSError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"expected a vaelab checkpoint, got {path}, which can't be read ({first_line}); use "
            "another checkpoint of the run, or train again."
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "config", "global_step"} <= set(
        checkpoint
    ):
        raise UserError(
            f"expected a vaelab checkpoint (with state_dict, config and global_step), got {path}, "
            "which another program wrote; name a file of a run's checkpoints/ folder."
        )
    return checkpoint


def checkpoint_step(path: Path) -> int:
    """The step a checkpoint was taken at; 0 where there is none yet."""
    return int(load_checkpoint(path)["global_step"]) if path.exists() else 0


def resumed_config(folder: str, overrides: list[str]) -> DictConfig:
    """The config to go on with: the run's own, unless settings beside resume= would change it.

    Args:
        folder: the run folder.
        overrides: the command line, resume= included.

    Raises:
        UserError: a setting differs; every such key is named. Only num_steps may grow.
    """
    run = RunFolder(folder)
    run.status()
    saved = build.load_config(run.config)
    typed = [word for word in overrides if not word.startswith("resume=")]
    if typed:
        first = json.loads(run.provenance.read_text())[0]["overrides"]
        before, after = (compose("train", overrides=words) for words in (first, first + typed))
        changes = _differences(before, after)
        if set(changes) == GROWN and changes["num_steps"][1] > changes["num_steps"][0]:
            saved.num_steps, saved.trainer.max_steps = after.num_steps, after.trainer.max_steps
        elif changes:
            rows = "; ".join(f"{key}: {old} -> {new}" for key, (old, new) in changes.items())
            raise UserError(
                f"resume expects the settings the run was started with (num_steps may grow), got "
                f"{' '.join(typed)}, which changes {rows}; leave it out, or start a new run."
            )
    saved.resume = folder
    return saved


def _differences(old: DictConfig, new: DictConfig) -> dict[str, tuple[Any, Any]]:
    """{dotted key: (old value, new value)} where two configs differ."""
    before, after = (build.flatten(build.plain(cfg)) for cfg in (old, new))
    keys = [*before, *(key for key in after if key not in before)]
    return {
        key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)
    }
