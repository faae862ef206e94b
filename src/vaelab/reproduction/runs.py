"""The runs of a target, as jobs of a sweep: trained once, and gone on with at the next call."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vaelab.errors import UserError, require
from vaelab.run import evaluate_run
from vaelab.runs.config import to_container
from vaelab.runs.folder import RunFolder
from vaelab.runs.status import State
from vaelab.sweep.jobs import Job, expand, lock_folder, plan
from vaelab.sweep.launchers import Launcher
from vaelab.sweep.run import SweepFailed, describe_failure, run_sweep

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TargetRun:
    """One finished run.

    Attributes:
        settings: those that tell it from the others, and the name of its target.
        numbers: metrics.json, and of every curve train/ the last value.
    """

    settings: dict[str, str]
    numbers: dict[str, Any] = field(repr=False)


def own_runs(
    cfg: DictConfig, choice: str, typed: Sequence[str], launcher: Launcher
) -> tuple[list[TargetRun], list[str]]:
    """Train and evaluate every run of `cfg.target.runs` in <output_root>/<name>/sweep.

    A run that is finished there is taken as it is, one that was stopped is gone on with. So a
    target that takes hours may be called again and again.

    Args:
        cfg: the config of the target.
        choice: its experiment, such as reproduce/c2.
        typed: overrides beside it, which hold for all runs.
        launcher: where they run.

    Returns:
        The finished runs, and a sentence for each that did not finish.

    Raises:
        UserError: an override that the runs set themselves, or a launcher that can't work.
    """
    folder = sweep_folder(cfg)
    lines = combinations(cfg, typed)
    [common] = expand([f"experiment={choice}", *typed])
    with lock_folder(folder):
        jobs = plan(folder, [[*common, *words] for words in lines], common)
        try:
            run_sweep(folder, jobs, launcher)
        except SweepFailed as error:
            log.error(error)
    failures = [describe_failure(job) for job in jobs if job.state() != State.FINISHED]
    finished = [job for job in jobs if job.state() == State.FINISHED]
    for job in finished:
        try:
            complete(job.folder, cfg)
        except UserError as error:
            failures.append(f"{job.label} ({error})")
    return [read(job, choice.rpartition("/")[2]) for job in finished], failures


def sweep_folder(cfg: DictConfig) -> Path:
    """Where the runs of a target lie."""
    return Path(cfg.output_root) / cfg.name / "sweep"


def combinations(cfg: DictConfig, typed: Sequence[str] = ()) -> list[list[str]]:
    """The words of each run of a target.

    Raises:
        UserError: `typed` has a setting that the runs set.
    """
    lines = [words for line in cfg.target.get("runs", []) for words in expand(list(line))]
    own = {word.partition("=")[0] for words in lines for word in words}
    twice = [word for word in typed if word.partition("=")[0] in own]
    require(
        not twice,
        f"a target expects overrides of what its runs have in common, got {', '.join(twice)}, "
        "which they set themselves; leave it out, or train such runs with train.py.",
    )
    return lines


def complete(folder: RunFolder, cfg: DictConfig) -> None:
    """Compute those metrics of `cfg.evaluation` that a finished run lacks or has otherwise.

    Its job computed them after training; their settings may have changed since.

    Args:
        cfg: of the target: device and data root are those of this call.
    """
    if lacking(folder, to_container(cfg).get("evaluation") or {}):
        evaluate_run(folder, cfg)


def lacking(folder: RunFolder, evaluation: Mapping[str, Any]) -> list[str]:
    """The metrics of `evaluation` whose scores a run lacks, or has with other settings."""
    there = folder.read_metrics().get("evaluations", {})
    return [n for n, config in evaluation.items() if there.get(n, {}).get("config") != config]


def read(job: Job, target: str) -> TargetRun:
    """A finished run of a target."""
    settings = dict(word.split("=", 1) for word in job.own_overrides)
    curves = {n: c for n, c in job.folder.read_curves().items() if n.startswith("train/")}
    last = {name: curve[max(curve)] for name, curve in curves.items()}
    return TargetRun({"target": target} | settings, last | job.folder.read_metrics())
