"""A target: an experiment, its expected numbers, and whether they were reached."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig

from vaelab import build
from vaelab.files import write_json
from vaelab.reproduction.cells import table
from vaelab.reproduction.measurement import Number
from vaelab.reproduction.runs import TargetRun, own_runs
from vaelab.reproduction.scale import make_small, smoke_words
from vaelab.reproduction.shared_runs import others_runs
from vaelab.reproduction.verdict import Outcome, Verdict, shown, verdict
from vaelab.runs.folder import RunFolder
from vaelab.sweep.launchers import Launcher
from vaelab.train import train


def reproduce(
    cfg: DictConfig,
    path: Path,
    choice: str,
    typed: Sequence[str],
    launcher: Launcher,
    *,
    smoke: bool = False,
) -> Outcome:
    """Measure every number of `cfg.target` and compare.

    A target has `runs`, lists of overrides that make several runs, or `of`, targets whose runs it
    reads, or both; or `train: true`, one run in `path`; or none of them. Its `measure` gets the
    runs, the path of the run, or the config, and returns numbers by name. A row of `expected` names
    a number, or one logged at a `step`; with `minus`, the difference of two; and what it should be,
    see `verdict`. `printed` names numbers that nothing is expected of. A name that nothing was
    measured under is told, in small runs too. Verdicts go into verdicts.json.

    Args:
        cfg: the config of the experiment.
        path: for what is written.
        choice: the experiment, such as reproduce/c2.
        typed: overrides beside it, which hold for all runs.
        launcher: of the runs.
        smoke: make the runs small and judge nothing; see `reproduction.scale`.
    """
    if smoke:
        typed = [*typed, *smoke_words(cfg)]
        cfg = compose("train", overrides=[f"experiment={choice}", *typed])
        make_small(cfg)
    target, seeds = cfg.target, {str(cfg.seed): None}
    failures: list[str] = []
    runs: list[TargetRun] = []
    measure = build.build(target.measure, _partial_=True)
    if target.get("runs") or target.get("of"):
        others, missing = others_runs(cfg, smoke=smoke)
        own, failures = own_runs(cfg, choice, typed, launcher) if target.get("runs") else ([], [])
        failures, runs = [*failures, *missing], [*own, *others]
        numbers = measure(runs) if runs else {}
        seeds = {run.settings.get("seed", str(cfg.seed)): None for run in runs}
        if runs and target.get("by"):
            print(table(runs, list(target.by), list(target.shown)))
    else:
        numbers = train(cfg, path, [f"experiment={choice}", *typed]) if target.get("train") else {}
        numbers |= measure(path if target.get("train") else cfg)
    for name in target.get("printed", []):
        one = _number(numbers, name)
        print(f"           {name:<48} {shown(one.value, one.interval):>28}")
    verdicts = [_verdict(row, numbers, path) for row in target.expected]
    unknown = [] if failures else absent(target, numbers, runs, RunFolder(path))
    outcome = Outcome(choice.rpartition("/")[2], verdicts, failures, list(seeds), smoke, unknown)
    path.mkdir(parents=True, exist_ok=True)
    write_json(path / "verdicts.json", [asdict(v) | {"reached": v.reached} for v in verdicts])
    return outcome


def absent(
    target: Mapping[str, Any],
    numbers: Mapping[str, Any],
    runs: Sequence[TargetRun],
    folder: RunFolder,
) -> list[str]:
    """The names in `expected`, `printed` and `shown` that nothing was measured under.

    Args:
        target: of the config.
        numbers: by name, as measured.
        runs: whose own numbers are `shown`.
        folder: of the single run, whose curves are asked for at a step.
    """
    wanted = list(target.get("printed", []))
    unknown = []
    for row in target["expected"]:
        if "step" not in row:
            wanted += [row[key] for key in ("number", "minus") if key in row]
        elif not folder.read_curve(row["number"]):
            unknown.append(row["number"])
    unknown += [name for name in wanted if name not in numbers]
    unknown += [n for n in target.get("shown", []) if not any(n in run.numbers for run in runs)]
    return list(dict.fromkeys(unknown))


def _verdict(row: Mapping[str, Any], numbers: Mapping[str, Any], path: Path) -> Verdict:
    name = row["number"]
    if "step" in row:
        measured = Number(RunFolder(path).read_curve(name).get(row["step"], math.nan))
        return verdict(row, f"{name} at step {row['step']}", measured)
    if "minus" in row:
        measured = _number(numbers, name) - _number(numbers, row["minus"])
        return verdict(row, f"{name} - {row['minus']}", measured)
    return verdict(row, name, _number(numbers, name))


def _number(numbers: Mapping[str, Any], name: str) -> Number:
    one = numbers.get(name, math.nan)
    return one if isinstance(one, Number) else Number(float(one))
