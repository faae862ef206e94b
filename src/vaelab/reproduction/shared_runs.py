"""The runs of other targets: those that they ask for, finished and scored, and no others."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig

from vaelab.errors import require
from vaelab.reproduction.runs import TargetRun, combinations, lacking, read, sweep_folder
from vaelab.reproduction.scale import make_small, smoke_words
from vaelab.runs.config import load_config, to_container
from vaelab.runs.config_hash import HARDWARE, NO_EFFECT_ON_NUMBERS, canonical, key, without
from vaelab.runs.status import State
from vaelab.sweep.jobs import Job, compose_configs, read_jobs


def others_runs(cfg: DictConfig, *, smoke: bool = False) -> tuple[list[TargetRun], list[str]]:
    """The runs of the targets `cfg.target.of`, and a sentence for each that lacks some.

    Exactly those that the other's file asks for, on whatever machine: what was tried in its folder
    with other settings or seeds is not among them.

    Args:
        smoke: those that show that a target works, see `reproduction.scale`.

    Raises:
        UserError: two runs are the one that was asked for.
    """
    runs, missing = [], []
    for name in cfg.target.get("of", []):
        words = [f"experiment=reproduce/{name}"]
        other = compose("train", overrides=words)
        if smoke:
            words += smoke_words(other)
            make_small(other)
        other.output_root = cfg.output_root
        folder = sweep_folder(other)
        lines = combinations(other)
        found = _found(name, folder, words, lines)
        runs += found
        if len(found) < len(lines):
            missing.append(
                f"{name.upper()}: {len(lines) - len(found)} of {len(lines)} runs are missing in "
                f"{folder}, not finished or not scored; train them by reproduce.py {name}"
                f"{' --scale smoke' if smoke else ''}"
            )
    return runs, missing


def _found(name: str, folder: Path, words: list[str], lines: list[list[str]]) -> list[TargetRun]:
    """The complete runs of a target, in its order."""
    there = _finished(folder)
    if not there:  # composing what they would be takes seconds
        return []
    found = []
    for line, cfg in zip(lines, compose_configs([*words, *line] for line in lines), strict=True):
        config = to_container(cfg)
        wanted = config.get("evaluation") or {}
        jobs = [job for job in there.get(_key(config), []) if not lacking(job.folder, wanted)]
        require(
            len(jobs) < 2,
            f"{name.upper()} expects one run of {' '.join(line)}, got "
            f"{' and '.join(job.path.name for job in jobs)} in {folder}, which differ in the "
            "machine alone; move one of them elsewhere.",
        )
        found += [read(replace(job, own_overrides=tuple(line)), name) for job in jobs]
    return found


def _finished(folder: Path) -> dict[str, list[Job]]:
    """The finished jobs of a sweep by `_key`."""
    jobs = defaultdict(list)
    for job in read_jobs(folder).values():
        if job.state() == State.FINISHED:
            jobs[_key(to_container(load_config(job.folder.config)))].append(job)
    return jobs


def _key(config: Mapping[str, Any]) -> str:
    """The settings that a number may depend on, except for those of the hardware."""
    return key(without(canonical(config), NO_EFFECT_ON_NUMBERS + HARDWARE))
