"""The runs of a target that compares several: trained once, and gone on with at the next call."""

import itertools
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from vaelab import build
from vaelab.errors import require
from vaelab.evaluate import evaluate
from vaelab.run_folder import RunFolder
from vaelab.train import train

log = logging.getLogger(__name__)

# Settings that may differ between the call that began a run and the one that goes on with it.
OF_THE_MACHINE = {
    *("num_threads", "data_root", "data.root", "output_root", "resume"),
    "trainer.enable_progress_bar",
}


@dataclass(frozen=True)
class TargetRun:
    """One finished run.

    Attributes:
        settings: those that tell it from the others.
        numbers: metrics.json, and of every curve train/ the last value.
    """

    settings: dict[str, str]
    numbers: dict[str, Any] = field(repr=False)


def train_runs(cfg: DictConfig, choice: str, typed: list[str]) -> list[TargetRun]:
    """Train and evaluate every run of `cfg.target.runs` in <output_root>/<name>/<its settings>.

    A run that is finished there is taken as it is, one that was stopped is gone on with. So a
    target that takes hours may be called again and again.

    Raises:
        UserError: a folder holds a run of another config.
    """
    metrics, configs = (
        build.build_metrics(cfg.target.metrics),
        build.plain(cfg)["target"]["metrics"],
    )
    combinations = [words for line in cfg.target.runs for words in expand(list(line))]
    done = []
    for number, words in enumerate(combinations):
        one = compose("train", overrides=[f"experiment={choice}", *typed, *words])
        path = Path(one.output_root) / one.name / ",".join(words).replace("/", "-")
        log.info("run %d of %d: %s", number + 1, len(combinations), path)
        folder = train_once(one, path, [f"experiment={choice}", *typed, *words])
        for evaluation in evaluate(path, metrics, configs, figures=False):
            failed = "; ".join(evaluation.failed.values())
            require(not failed, f"{path}: {failed}")
        settings = dict(word.split("=", 1) for word in words)
        curves = {n: c for n, c in folder.read_curves().items() if n.startswith("train/")}
        last = {name: curve[max(curve)] for name, curve in curves.items()}
        done.append(TargetRun(settings, last | folder.read_metrics()))
    return done


def expand(words: list[str]) -> list[list[str]]:
    """Every combination: ["seed=0,1", "x=2"] -> [["seed=0", "x=2"], ["seed=1", "x=2"]]."""
    choices = []
    for override in OverridesParser.create().parse_overrides(words):
        key = override.get_key_element()
        if override.is_sweep_override():
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            choices.append([f"{key}={override.get_value_element_as_str()}"])
    return [list(combination) for combination in itertools.product(*choices)]


def train_once(cfg: DictConfig, path: Path, overrides: list[str]) -> RunFolder:
    """Train as `cfg` says into `path`, or go on with the run there; a finished one is left alone.

    Raises:
        UserError: the folder holds a run of another config.
    """
    folder = RunFolder(path)
    if not folder.status_file.exists():
        train(cfg, path, overrides)
        return folder
    state = folder.status()["state"]
    wanted, there = (build.flatten(build.plain(c)) for c in (cfg, build.load_config(folder.config)))
    differ = [
        key
        for key in wanted.keys() | there.keys()
        if wanted.get(key) != there.get(key)
        and key not in OF_THE_MACHINE
        and not key.startswith("target.")
    ]
    require(
        not differ,
        f"{path} expects the settings it was begun with, got others for "
        f"{', '.join(sorted(differ))}; move that folder away, or choose another name=.",
    )
    if state != "finished":
        resumed = cfg.copy()
        resumed.resume = str(path)
        train(resumed, path, overrides)
    return folder
