"""Reproduce a target: train what it needs, measure its numbers, compare them with the expected."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig

from vaelab import build
from vaelab.figures import encode, write_encoded
from vaelab.files import write_json
from vaelab.reproduction.comparisons import format_table
from vaelab.reproduction.expectations import Expectation, read_expectations
from vaelab.reproduction.runs import TargetRun, read_runs_of_others, train_runs
from vaelab.reproduction.targets import make_small, smoke_overrides
from vaelab.reproduction.verdict import Measurement, Outcome, compare, format_number
from vaelab.runs.config import to_container
from vaelab.runs.folder import RunFolder
from vaelab.sweep.launchers import Launcher
from vaelab.train import train


def reproduce(
    cfg: DictConfig,
    path: Path,
    experiment: str,
    overrides: Sequence[str],
    launcher: Launcher,
    *,
    smoke: bool = False,
) -> Outcome:
    """Measure every number of `cfg.target` and compare; the verdicts go into verdicts.json.

    A target has `runs`, lists of overrides that expand to several runs, or `runs_of`, targets
    whose runs it reads, or both; or `train: true`, one run in `path`; or none of these. Its
    `measure` gets the runs, the path of the run, or the config, and returns numbers by name. A row
    of `expected` names a number, or one that was logged at `step`, or with `minus` the difference
    of two, its range and its source, see `read_expectations`. `printed` names numbers without an
    expectation. Names under which nothing was measured are reported, for small runs too. A target
    may have `figures`, which gets the path of the run, or the config, and the numbers, and returns
    figures by name; they become <name>.png in `path`.

    Args:
        cfg: the config of the experiment.
        path: the folder for results.
        experiment: the choice of experiment, such as reproduce/c2.
        overrides: further overrides, for all runs.
        launcher: executes the runs.
        smoke: make the runs small and compare nothing; see `reproduction.targets`.

    Raises:
        UserError: before anything is trained, an expected number without a range or a source.
    """
    started = time.perf_counter()
    if smoke:
        overrides = [*overrides, *smoke_overrides(cfg)]
        cfg = compose("train", overrides=[f"experiment={experiment}", *overrides])
        make_small(cfg)
    expectations = read_expectations(to_container(cfg)["target"])
    runs, failures = _collect_runs(cfg, experiment, overrides, launcher, smoke)
    numbers = _measure_all(cfg, path, [f"experiment={experiment}", *overrides], runs)
    _write_figures(cfg, path, numbers)
    verdicts = [compare(one, _find_measurement(one, numbers, path)) for one in expectations]
    unmeasured = [] if failures else find_unmeasured(cfg.target, numbers, runs, RunFolder(path))
    name = experiment.rpartition("/")[2]
    seeds = [run.settings.get("seed", str(cfg.seed)) for run in runs]
    seeds = list(dict.fromkeys(seeds)) if _has_runs(cfg) else [str(cfg.seed)]
    own = [run.seconds for run in runs if run.settings["target"] == name]
    seconds = sum(own) if own else time.perf_counter() - started
    outcome = Outcome(name, verdicts, failures, seeds, smoke, unmeasured, seconds)
    path.mkdir(parents=True, exist_ok=True)
    records = [asdict(one) | {"decides": one.decides, "verdict": one.word} for one in verdicts]
    write_json(path / "verdicts.json", records)
    return outcome


def find_unmeasured(
    target: Mapping[str, Any],
    numbers: Mapping[str, Any],
    runs: Sequence[TargetRun],
    folder: RunFolder,
) -> list[str]:
    """The names in `expected`, `printed` and `columns` under which nothing was measured.

    Args:
        target: of the config.
        numbers: by name, as measured.
        runs: whose numbers are the `columns` of the table.
        folder: of the single run, whose curves give the numbers at a `step`.
    """
    wanted = list(target.get("printed", []))
    unmeasured = []
    for row in target["expected"]:
        if "step" not in row:
            wanted += [row[key] for key in ("number", "minus") if key in row]
        elif not folder.read_curve(row["number"]):
            unmeasured.append(row["number"])
    unmeasured += [name for name in wanted if name not in numbers]
    columns = target.get("columns", [])
    unmeasured += [name for name in columns if not any(name in run.numbers for run in runs)]
    return list(dict.fromkeys(unmeasured))


def _has_runs(cfg: DictConfig) -> bool:
    return bool(cfg.target.get("runs") or cfg.target.get("runs_of"))


def _collect_runs(
    cfg: DictConfig, experiment: str, overrides: Sequence[str], launcher: Launcher, smoke: bool
) -> tuple[list[TargetRun], list[str]]:
    """The target's own runs, then those it reads, and a sentence per failed or missing run."""
    others, missing = read_runs_of_others(cfg, smoke=smoke)
    if not cfg.target.get("runs"):
        return others, missing
    own, failures = train_runs(cfg, experiment, overrides, launcher)
    return [*own, *others], [*failures, *missing]


def _measure_all(
    cfg: DictConfig, path: Path, overrides: Sequence[str], runs: Sequence[TargetRun]
) -> dict[str, Any]:
    """All numbers by name; prints the table of the runs and the numbers under `printed`."""
    target = cfg.target
    measure = build.build(target.measure, _partial_=True)
    if runs and target.get("group_by"):
        print(format_table(runs, list(target.group_by), list(target.columns)))
    if _has_runs(cfg):
        numbers = measure(runs) if runs else {}
    elif target.get("train"):
        numbers = train(cfg, path, list(overrides)) | measure(path)
    else:
        numbers = measure(cfg)
    for name in target.get("printed", []):
        one = _find(numbers, name)
        print(f"  {'':<16} {name:<48} {format_number(one.value, one.interval):>28}")
    return dict(numbers)


def _write_figures(cfg: DictConfig, path: Path, numbers: Mapping[str, Any]) -> None:
    if not cfg.target.get("figures"):
        return
    draw = build.build(cfg.target.figures, _partial_=True)
    path.mkdir(parents=True, exist_ok=True)
    for name, figure in draw(path if cfg.target.get("train") else cfg, numbers).items():
        file = path / f"{name}.png"
        write_encoded(encode(figure, "png"), file)
        print(f"  {'':<16} {file}")


def _find_measurement(one: Expectation, numbers: Mapping[str, Any], path: Path) -> Measurement:
    """The measured number of an expectation, NaN where there is none."""
    if one.step is not None:
        return Measurement(RunFolder(path).read_curve(one.number).get(one.step, math.nan))
    if one.minus is not None:
        return _find(numbers, one.number) - _find(numbers, one.minus)
    return _find(numbers, one.number)


def _find(numbers: Mapping[str, Any], name: str) -> Measurement:
    one = numbers.get(name, math.nan)
    return one if isinstance(one, Measurement) else Measurement(float(one))
