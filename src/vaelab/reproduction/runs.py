"""The runs of a target: its own, trained as jobs of a sweep, and those of other targets."""

import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig

from vaelab.errors import UserError, require
from vaelab.reproduction.targets import make_small, smoke_overrides
from vaelab.run import evaluate_run
from vaelab.runs.config import load_config, to_container
from vaelab.runs.config_hash import HARDWARE, NO_EFFECT_ON_NUMBERS, canonical, key, without
from vaelab.runs.folder import RunFolder
from vaelab.runs.status import State
from vaelab.sweep.jobs import Job, compose_configs, expand, lock_folder, plan, read_jobs
from vaelab.sweep.launchers import Launcher
from vaelab.sweep.run import SweepFailed, describe_failure, run_sweep

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TargetRun:
    """A finished run.

    Attributes:
        settings: those in which it differs from the other runs, and the name of its target.
        numbers: metrics.json, and the last value of every curve train/.
        path: its folder, None where there is none.
    """

    settings: dict[str, str]
    numbers: dict[str, Any] = field(repr=False)
    path: Path | None = None

    @property
    def seconds(self) -> float:
        """Of training and of evaluating its metrics."""
        evaluations = self.numbers.get("evaluations", {}).values()
        of_metrics = sum(one.get("seconds", 0.0) for one in evaluations)
        return float(self.numbers.get("seconds", math.nan)) + float(of_metrics)


def train_runs(
    cfg: DictConfig, experiment: str, overrides: Sequence[str], launcher: Launcher
) -> tuple[list[TargetRun], list[str]]:
    """Train and evaluate every run of `cfg.target.runs` in <output_root>/<name>/sweep.

    Finished runs are kept and interrupted ones are resumed, so that the command of a target that
    takes hours can be repeated.

    Args:
        cfg: the config of the target.
        experiment: its choice of experiment, such as reproduce/c2.
        overrides: further overrides, for all runs.
        launcher: where the runs are executed.

    Returns:
        The finished runs, and a sentence for each that did not finish.

    Raises:
        UserError: an override that the runs set themselves, or a launcher that can't work.
    """
    folder = sweep_folder(cfg)
    lines = expand_runs(cfg, overrides)
    [shared] = expand([f"experiment={experiment}", *overrides])
    with lock_folder(folder):
        jobs = plan(folder, [[*shared, *line] for line in lines], shared)
        try:
            run_sweep(folder, jobs, launcher)
        except SweepFailed as error:
            log.error(error)
    failures = [describe_failure(job) for job in jobs if job.state() != State.FINISHED]
    finished = [job for job in jobs if job.state() == State.FINISHED]
    for job in finished:
        try:
            add_missing_scores(job.folder, _with_evaluation_of(job, cfg))
        except UserError as error:
            failures.append(f"{job.label} ({error})")
    return [_read_run(job, experiment.rpartition("/")[2]) for job in finished], failures


def read_runs_of_others(
    cfg: DictConfig, *, smoke: bool = False
) -> tuple[list[TargetRun], list[str]]:
    """The runs of the targets `cfg.target.runs_of`, and a sentence for each that lacks some.

    Only runs that the YAML file of the other target asks for are read, trained on any hardware:
    runs in its folder with other settings or seeds are ignored.

    Args:
        cfg: the config of the target that reads.
        smoke: read the small runs of `--scale smoke`.

    Raises:
        UserError: two runs fit one that was asked for.
    """
    runs, missing = [], []
    for name in cfg.target.get("runs_of", []):
        overrides = [f"experiment=reproduce/{name}"]
        other = compose("train", overrides=overrides)
        if smoke:
            overrides += smoke_overrides(other)
            make_small(other)
        other.output_root = cfg.output_root
        folder, lines = sweep_folder(other), expand_runs(other)
        found = _read_expected_runs(name, folder, overrides, lines)
        runs += found
        if len(found) < len(lines):
            missing.append(
                f"{name.upper()}: {len(lines) - len(found)} of {len(lines)} runs are missing in "
                f"{folder}, not finished or not evaluated; train them by reproduce.py {name}"
                f"{' --scale smoke' if smoke else ''}"
            )
    return runs, missing


def sweep_folder(cfg: DictConfig) -> Path:
    """The folder that the runs of a target are stored in."""
    return Path(cfg.output_root) / cfg.name / "sweep"


def expand_runs(cfg: DictConfig, overrides: Sequence[str] = ()) -> list[list[str]]:
    """The overrides of each run of a target.

    Raises:
        UserError: `overrides` has a setting that the runs set.
    """
    lines = [one for line in cfg.target.get("runs", []) for one in expand(list(line))]
    own = {override.partition("=")[0] for line in lines for override in line}
    twice = [override for override in overrides if override.partition("=")[0] in own]
    require(
        not twice,
        "KEY=VALUE expects a setting that all runs of the target share, got "
        f"{', '.join(twice)}, which they set themselves; leave it out, or train such runs with "
        "train.py.",
    )
    return lines


def add_missing_scores(folder: RunFolder, cfg: DictConfig) -> None:
    """Compute the metrics of `cfg.evaluation` that a finished run lacks or has with other settings.

    They were computed after training; their settings may have changed since.

    Args:
        folder: of the run.
        cfg: the config of the target, whose device and data folder are used.
    """
    if _missing_metrics(folder, to_container(cfg).get("evaluation") or {}):
        evaluate_run(folder, cfg)


def _with_evaluation_of(job: Job, cfg: DictConfig) -> DictConfig:
    """The config of the target with the metrics of a job, whose overrides may set some of them."""
    own = cfg.copy()
    own.evaluation = load_config(job.folder.config).get("evaluation")
    return own


def _missing_metrics(folder: RunFolder, evaluation: Mapping[str, Any]) -> list[str]:
    """The metrics of `evaluation` whose scores a run lacks, or has with other settings."""
    known = folder.read_metrics().get("evaluations", {})
    return [n for n, config in evaluation.items() if known.get(n, {}).get("config") != config]


def _read_run(job: Job, target: str) -> TargetRun:
    settings = dict(override.split("=", 1) for override in job.own_overrides)
    curves = {n: c for n, c in job.folder.read_curves().items() if n.startswith("train/")}
    last = {name: curve[max(curve)] for name, curve in curves.items()}
    numbers = last | job.folder.read_metrics()
    return TargetRun({"target": target} | settings, numbers, job.folder.path)


def _read_expected_runs(
    name: str, folder: Path, overrides: list[str], lines: list[list[str]]
) -> list[TargetRun]:
    """The finished and evaluated runs of a target, in the order of `lines`."""
    finished = _finished_jobs(folder)
    if not finished:  # composing the expected configs takes seconds
        return []
    runs = []
    for line, cfg in zip(
        lines, compose_configs([*overrides, *line] for line in lines), strict=True
    ):
        config = to_container(cfg)
        metrics = config.get("evaluation") or {}
        same = finished.get(_settings_key(config), [])
        jobs = [job for job in same if not _missing_metrics(job.folder, metrics)]
        require(
            len(jobs) < 2,
            f"{name.upper()} expects one run of {' '.join(line)}, got "
            f"{' and '.join(job.path.name for job in jobs)} in {folder}, which differ in the "
            "hardware only; move one of them elsewhere.",
        )
        runs += [_read_run(replace(job, own_overrides=tuple(line)), name) for job in jobs]
    return runs


def _finished_jobs(folder: Path) -> dict[str, list[Job]]:
    """The finished jobs of a sweep by `_settings_key`."""
    jobs = defaultdict(list)
    for job in read_jobs(folder).values():
        if job.state() == State.FINISHED:
            jobs[_settings_key(to_container(load_config(job.folder.config)))].append(job)
    return jobs


def _settings_key(config: Mapping[str, Any]) -> str:
    """The settings that a number may depend on, except those of the hardware."""
    return key(without(canonical(config), NO_EFFECT_ON_NUMBERS + HARDWARE))
