"""Resuming a stopped run: from its folder alone, and only as the same run."""

from hydra import compose
from omegaconf import DictConfig

from vaelab.errors import UserError, require
from vaelab.files import read_json
from vaelab.runs.config import load_current_config, to_container
from vaelab.runs.config_hash import GROWING, differences
from vaelab.runs.folder import RunFolder


def resumed_config(folder: str, overrides: list[str]) -> DictConfig:
    """The config to resume with: the run's own, unless settings beside resume= would change it.

    Args:
        folder: the run folder.
        overrides: the command line, resume= included.

    Raises:
        UserError: a setting differs; every such key is named. Only num_steps may grow.
    """
    run = RunFolder(folder)
    run.status()
    saved = load_current_config(run.config)
    added = [one for one in overrides if not one.startswith("resume=")]
    if added:
        first = _first_overrides(run)
        before, after = (compose("train", overrides=every) for every in (first, first + added))
        changes = differences(to_container(before), to_container(after), ignore=())
        if changes.pop("trainer.max_time", None):
            saved.trainer.max_time = after.trainer.get("max_time")
        if set(changes) == set(GROWING) and changes["num_steps"][1] > changes["num_steps"][0]:
            saved.num_steps, saved.trainer.max_steps = after.num_steps, after.trainer.max_steps
        elif changes:
            rows = "; ".join(f"{key}: {old} -> {new}" for key, (old, new) in changes.items())
            raise UserError(
                "resume expects the settings the run was started with (num_steps may grow, "
                "trainer.max_time may change), got "
                f"{' '.join(added)}, which changes {rows}; leave it out, or start a new run."
            )
    saved.resume = folder
    return saved


def _first_overrides(run: RunFolder) -> list[str]:
    """The command line that the run was started with."""
    advice = "move it away, and resume without other settings"
    history = read_json(run.provenance, list, advice)
    require(
        bool(history) and isinstance(history[0], dict) and "overrides" in history[0],
        f"{run.provenance} expects the starts of the run, got none; {advice}.",
    )
    return history[0]["overrides"]
