"""A target: an experiment, its expected numbers, and whether they were reached."""

import math
from pathlib import Path

from omegaconf import DictConfig

from vaelab import build
from vaelab.files import write_json
from vaelab.reproduction.cells import table
from vaelab.reproduction.runs import train_runs
from vaelab.reproduction.verdict import Verdict, verdict
from vaelab.run_folder import RunFolder
from vaelab.train import train


def reproduce(cfg: DictConfig, path: Path, choice: str, typed: list[str]) -> list[Verdict]:
    """Measure every number of `cfg.target` and compare.

    A target has `runs`, lists of overrides that make several runs; or `train: true`, one run in
    `path`; or neither. Its `measure` gets the runs, the path of the run, or the config, and returns
    numbers by name. A row of `expected` names a number, or one logged at a `step`; with `minus`,
    the difference of two; and what it should be, see `verdict`. Verdicts go into verdicts.json.

    Args:
        cfg: the config of the experiment.
        path: for what is written.
        choice: the experiment, such as reproduce/c2.
        typed: overrides beside it, which hold for all runs.
    """
    target = cfg.target
    if target.get("runs"):
        runs = train_runs(cfg, choice, typed)
        numbers = build.build(target.measure, _partial_=True)(runs)
        print(table(runs, list(target.by), list(target.shown)))
    else:
        numbers = train(cfg, path, [f"experiment={choice}", *typed]) if target.train else {}
        measure = build.build(target.measure, _partial_=True)
        numbers |= measure(path if target.train else cfg)
    verdicts = []
    for row in target.expected:
        name = row.number
        if "step" in row:
            measured = RunFolder(path).read_curve(name).get(row.step, math.nan)
            name = f"{name} at step {row.step}"
        else:
            measured = numbers.get(name, math.nan)
        if "minus" in row:
            measured -= numbers.get(row.minus, math.nan)
            name = f"{name} - {row.minus}"
        verdicts.append(verdict(row, name, float(measured)))
    write_json(path / "verdicts.json", [vars(v) | {"reached": v.reached} for v in verdicts])
    return verdicts
