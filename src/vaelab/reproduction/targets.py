"""The targets in conf/experiment/reproduce: headers, scales, and small versions (smoke)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vaelab.errors import UserError, require, require_choice
from vaelab.files import natural_order
from vaelab.reproduction.expectations import Expectation, read_expectations
from vaelab.runs.config import to_container
from vaelab.sweep.jobs import expand

SCALES = ("smoke", "cpu", "full")
SMOKE = "_smoke"  # suffix of the folders of small runs, which never overwrite full-size ones
NUM_SEEDS = 2  # the fewest that have a median and an interval
SMOKE_RUN = {
    "num_steps": 12,
    "val_every_n_steps": 12,
    "trainer.log_every_n_steps": 6,
    "trainer.limit_val_batches": 1,
    "trainer.limit_test_batches": 1,
    "compile": "false",
}
SMOKE_METRIC = {
    **dict.fromkeys(("num_train", "num_test", "num_eval", "num_variance", "num_images"), 300),
    "num_samples": 300,
    "num_bootstrap": 20,
    "num_repeats": 0,
    "num_temperatures": 4,
    "num_bound_samples": 100,
    "ais": 2,
}
SMOKE_MAX_IMAGES = 20_000
SMOKE_FACTOR_SIZES = "[3,3,8,8,8]"


@dataclass(frozen=True)
class Target:
    """A target as described in the header of its YAML file.

    Attributes:
        name: such as c1.
        scale: cpu or full.
        counterpart: the target of the other scale that measures something similar, or None.
        title: the first line of the header.
        header: the entries Source, Command, Expected, Time and Hardware of the header.
        expectations: its expected numbers with their sources.
    """

    name: str
    scale: str
    counterpart: str | None
    title: str
    header: dict[str, str]
    expectations: list[Expectation]


def read_targets(folder: Path) -> dict[str, Target]:
    """All targets by name, c2 before c10.

    Args:
        folder: conf/experiment/reproduce.

    Raises:
        UserError: a file without a scale, or with an expected number without a source.
    """
    files = sorted(folder.glob("*.yaml"), key=lambda file: natural_order(file.stem))
    return {file.stem: _read_target(file) for file in files}


def select_targets(known: dict[str, Target], names: Sequence[str], scale: str | None) -> list[str]:
    """The targets to run at a scale: those named or their counterparts; without names, all of it.

    Raises:
        UserError: an unknown name, or a target without a counterpart.
    """
    for name in names:
        require_choice("TARGET", name, known)
    if not names:
        return [name for name, one in known.items() if scale in (one.scale, "smoke")]
    if scale in (None, "smoke"):
        return list(names)
    selected = [found for name in names for found in _at_scale(known, name, str(scale))]
    return list(dict.fromkeys(selected))


def smoke_overrides(cfg: DictConfig) -> list[str]:
    """The overrides that make the runs of a target small: few steps, images and samples.

    Args:
        cfg: the config of the target.
    """
    overrides = [f"{key}={value}" for key, value in SMOKE_RUN.items()]
    if "progress" not in cfg.callbacks:
        overrides.append("trainer.enable_progress_bar=false")
    sizes = cfg.data.get("factor_sizes")
    if sizes is not None and prod(sizes) > SMOKE_MAX_IMAGES:
        overrides += [f"data.factor_sizes={SMOKE_FACTOR_SIZES}", "data.num_val=500"]
    for name, metric in (to_container(cfg).get("evaluation") or {}).items():
        for key, most in SMOKE_METRIC.items():
            if key in metric and (metric[key] is None or metric[key] > most):
                overrides.append(f"evaluation.{name}.{key}={most}")
    return overrides


def make_small(cfg: DictConfig) -> None:
    """Give a target another folder and fewer seeds, in place; its runs need `smoke_overrides`."""
    cfg.name = f"{str(cfg.name).removesuffix(SMOKE)}{SMOKE}"
    if cfg.target.get("runs"):
        OmegaConf.update(cfg, "target.runs", [_keep_few_seeds(line) for line in cfg.target.runs])


def _keep_few_seeds(overrides: list[str]) -> list[str]:
    return [
        f"seed={','.join(one[0].partition('=')[2] for one in expand([override])[:NUM_SEEDS])}"
        if override.startswith("seed=")
        else override
        for override in overrides
    ]


def _at_scale(known: dict[str, Target], name: str, scale: str) -> list[str]:
    """The target itself, or its counterparts of the other scale."""
    target = known[name]
    if target.scale == scale:
        return [name]
    naming_it = [other.name for other in known.values() if other.counterpart == name]
    counterparts = [target.counterpart] if target.counterpart else naming_it
    require(
        bool(counterparts),
        f"--scale {scale} expects a target with a counterpart of that scale, got {name}, which "
        f"has scale {target.scale} only; leave --scale out, or use --scale smoke.",
    )
    return counterparts


def _read_target(file: Path) -> Target:
    lines = [line.removeprefix("#") for line in file.read_text().splitlines() if line[:1] == "#"]
    comment = "\n".join(line for line in lines if "@package" not in line)
    title = comment.strip().partition("\n")[0].partition(": ")[2]
    found = re.findall(r"^ ([A-Z]\w+) {2,}(\S.*(?:\n {4,}\S.*)*)", comment, re.MULTILINE)
    header = {name: " ".join(text.split()) for name, text in found}
    target = OmegaConf.load(file).target
    require_choice(f"target.scale in {file}", target.get("scale"), SCALES[1:])
    try:
        expectations = read_expectations(target)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    return Target(file.stem, target.scale, target.get("counterpart"), title, header, expectations)
