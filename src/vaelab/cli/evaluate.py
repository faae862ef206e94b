"""Evaluate finished runs: scripts/evaluate.py, vaelab-evaluate."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vaelab.cli import program
from vaelab.cli.hydra_app import run_hydra_app
from vaelab.errors import UserError

if TYPE_CHECKING:
    from vaelab.evaluate import Evaluation


@program
def main() -> None:
    """Evaluate what `run=` names; exit code 2 where a metric could not be computed."""
    failed: list[str] = []

    def job(cfg: DictConfig) -> None:
        failed.extend(evaluate_and_print(cfg))

    try:
        ok = run_hydra_app(job, "evaluate")
    except KeyboardInterrupt:
        print(
            "stopped: what was computed is in metrics.json; the same command continues from there.",
            file=sys.stderr,
        )
        sys.exit(130)
    if failed or not ok:
        sys.exit(2)


def evaluate_and_print(cfg: DictConfig) -> list[str]:
    """Evaluate the runs of `cfg.run`, print a table of each; the metrics that failed."""
    path = None if OmegaConf.is_missing(cfg, "run") else cfg.run
    if not path or not Path(path).exists():
        raise UserError(
            f"evaluate expects run=<a run folder, a folder of runs, or a checkpoint>, got "
            f"{path or 'none'}; name what a run printed at its end: run=outputs/main/<time>."
        )
    from vaelab.evaluate import evaluate_config

    failed: list[str] = []
    for evaluation in evaluate_config(cfg, list(HydraConfig.get().overrides.task)):
        print(format_evaluation(evaluation))
        failed += evaluation.failed
    return failed


def format_evaluation(evaluation: "Evaluation") -> str:
    """The result of one run as text: one line per score, with its interval."""
    lines = [f"\nrun       {evaluation.folder.path}"]
    width = max((len(name) for name in evaluation.scores), default=0)
    for name, score in evaluation.scores.items():
        low_high = "" if score.interval is None else "  [{:.4g}, {:.4g}]".format(*score.interval)
        lines.append(f"  {name:<{width}}  {score.value:>10.4g}{low_high}")
    left_out = (
        ("kept", evaluation.kept),
        ("no factors for", evaluation.skipped),
        ("not for this posterior and prior:", evaluation.undefined),
    )
    for reason, names in left_out:
        if names:
            lines.append(f"{reason:<9} {', '.join(names)}")
    lines += [f"FAILED    {name}: {sentence}" for name, sentence in evaluation.failed.items()]
    lines.append(f"metrics   {evaluation.folder.metrics}")
    return "\n".join(lines)
