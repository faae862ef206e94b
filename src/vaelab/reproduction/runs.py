"""The runs of a target, as jobs of a sweep: trained once, and gone on with at the next call."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig

from vaelab import build
from vaelab.config import plain
from vaelab.errors import UserError, require
from vaelab.evaluate import evaluate
from vaelab.reproduction.scale import make_small
from vaelab.run_folder import RunFolder
from vaelab.sweep.jobs import Job, expand, plan, recorded, sole_use
from vaelab.sweep.launchers import Launcher
from vaelab.sweep.sweep import SweepFailed, failure, run_sweep

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
    with sole_use(folder):
        jobs = plan(folder, [[*common, *words] for words in lines], common)
        try:
            run_sweep(folder, jobs, launcher)
        except SweepFailed as error:
            log.error(error)
    failures = [failure(job) for job in jobs if job.state != "finished"]
    finished = [job for job in jobs if job.state == "finished"]
    for job in finished:
        try:
            complete(job.folder, cfg)
        except UserError as error:
            failures.append(f"{job.label} ({error})")
    return [read(job, choice.rpartition("/")[2]) for job in finished], failures


def others_runs(cfg: DictConfig, *, smoke: bool = False) -> tuple[list[TargetRun], list[str]]:
    """The finished runs of the targets `cfg.target.of`, and a sentence for each that lacks some.

    Args:
        smoke: those that show that a target works, see `reproduction.scale`.
    """
    runs, missing = [], []
    for name in cfg.target.get("of", []):
        other = compose("train", overrides=[f"experiment=reproduce/{name}"])
        other.output_root = cfg.output_root
        if smoke:
            make_small(other)
        folder = sweep_folder(other)
        num_wanted = len(combinations(other))
        # Of runs with the same words and other settings beside them, such as the trainer, one.
        jobs = {job.words: job for job in recorded(folder).values() if job.state == "finished"}
        runs += [read(job, name) for job in jobs.values()]
        if len(jobs) < num_wanted:
            missing.append(
                f"{name.upper()}: {num_wanted - len(jobs)} of {num_wanted} runs are missing in "
                f"{folder}; train them by reproduce.py {name}{' --scale smoke' if smoke else ''}"
            )
    return runs, missing


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
    """
    wanted = plain(cfg).get("evaluation") or {}
    there = folder.read_metrics().get("evaluations", {})
    missing = {n: c for n, c in wanted.items() if there.get(n, {}).get("config") != c}
    if missing:
        metrics = build.build_metrics(cfg.evaluation)
        chosen = {name: metrics[name] for name in missing}
        for one in evaluate(folder.path, chosen, missing, skip_inapplicable=True, figures=False):
            require(not one.failed, "; ".join(one.failed.values()))


def read(job: Job, target: str) -> TargetRun:
    """A finished run of a target."""
    settings = dict(word.split("=", 1) for word in job.words)
    curves = {n: c for n, c in job.folder.read_curves().items() if n.startswith("train/")}
    last = {name: curve[max(curve)] for name, curve in curves.items()}
    return TargetRun({"target": target} | settings, last | job.folder.read_metrics())
