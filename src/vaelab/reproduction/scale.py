"""Targets made small: few steps, runs and images, to show that all their parts work."""

from math import prod
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vaelab.runs.config import to_container
from vaelab.sweep.jobs import expand

SCALES = ("smoke", "cpu", "full")
SMOKE = "_smoke"  # what the names of their folders end with: real runs are never touched
NUM_SEEDS = 2  # two already make medians and intervals

RUN = {
    "num_steps": 12,
    "val_every_n_steps": 12,
    "trainer.log_every_n_steps": 6,
    "trainer.limit_val_batches": 1,
    "trainer.limit_test_batches": 1,
    "compile": "false",
}
METRIC = {
    **dict.fromkeys(("num_train", "num_test", "num_eval", "num_variance", "num_images"), 300),
    "num_samples": 300,
    "num_blocks": 0,
    "num_bootstrap": 20,
    "num_temperatures": 4,
}
MOST_IMAGES = 20_000
FACTOR_SIZES = [3, 3, 8, 8, 8]


def smoke_words(cfg: DictConfig) -> list[str]:
    """The overrides that make the runs of a target small, beside its name.

    Args:
        cfg: of the target.
    """
    words = [f"{key}={value}" for key, value in RUN.items()]
    if "progress" not in cfg.callbacks:
        words.append("trainer.enable_progress_bar=false")
    sizes = cfg.data.get("factor_sizes")
    if sizes is not None and prod(sizes) > MOST_IMAGES:
        words += [f"data.factor_sizes={_text(FACTOR_SIZES)}", "data.num_val=500"]
    for name, metric in (to_container(cfg).get("evaluation") or {}).items():
        for key, most in METRIC.items():
            if key in metric and (metric[key] is None or metric[key] > most):
                words.append(f"evaluation.{name}.{key}={most}")
    return words


def make_small(cfg: DictConfig) -> None:
    """Give a target another folder and fewer runs, in place; `smoke_words` are the runs' part."""
    cfg.name = f"{str(cfg.name).removesuffix(SMOKE)}{SMOKE}"
    if cfg.target.get("runs"):
        OmegaConf.update(cfg, "target.runs", [_fewer_seeds(line) for line in cfg.target.runs])


def _fewer_seeds(line: list[str]) -> list[str]:
    return [
        f"seed={','.join(one[0].partition('=')[2] for one in expand([word])[:NUM_SEEDS])}"
        if word.startswith("seed=")
        else word
        for word in line
    ]


def _text(values: list[Any]) -> str:
    return f"[{','.join(map(str, values))}]"
