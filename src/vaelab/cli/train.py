"""Train one model, or with -m a sweep: scripts/train.py, vaelab-train."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vaelab.cli import ending_at_control_c, program
from vaelab.cli.hydra_app import output_dir, run_hydra_app
from vaelab.terminal import beside_python, sibling_program, this_program


@program
def main() -> None:
    """Train as the command line says; exit code 2 where that fails."""
    if not run_hydra_app(run_job, "train"):
        sys.exit(2)


def run_job(cfg: DictConfig) -> float:
    """One run; returns val/elbo, or -val/reconstruction of an autoencoder, for sweepers."""
    with ending_at_control_c():
        from vaelab.run import train_and_evaluate
        from vaelab.runs.process import is_main_process
        from vaelab.runs.resume import resumed_config

    overrides = list(HydraConfig.get().overrides.task)
    if cfg.resume:
        cfg = resumed_config(cfg.resume, overrides)
    folder = output_dir()
    metrics = train_and_evaluate(cfg, folder, overrides)
    if is_main_process():
        print(summary(folder, metrics, cfg.output_root, overrides))
    return metrics.get("val/elbo", -metrics.get("val/reconstruction", float("nan")))


def summary(
    folder: Path, metrics: dict[str, Any], output_root: str, overrides: Sequence[str] = ()
) -> str:
    """What a run prints at its end: its folder, its numbers, and the commands to type next."""
    split = "test" if "test/reconstruction" in metrics else "val"
    names = ("elbo", "reconstruction", "kl", "active_units")
    value = {name: metrics[f"{split}/{name}"] for name in names if f"{split}/{name}" in metrics}
    lines = [f"\nrun        {folder}"]
    if "reconstruction" in value:
        elbo = f"ELBO {value['elbo']:.2f}   " if "elbo" in value else ""
        kl = f"   KL {value['kl']:.2f}" if "kl" in value else ""
        no_elbo = "" if elbo else "   no ELBO, since q(z|x) has no density"
        lines += [
            f"{split:<10} {elbo}reconstruction {value['reconstruction']:.2f}{kl} "
            f"nats per image   active units {value['active_units']:.0f}{no_elbo}"
        ]
    if "best/val/reconstruction" in metrics:
        lines += [f"best       step {metrics['best/step']:,}, by the lowest val/reconstruction"]
    kept = [one for one in overrides if not one.startswith(("resume=", "objective", "hydra"))]
    settings = " ".join(kept)
    # Any objective goes with the default posterior and prior, and beta with the default objective.
    default = not any(one.startswith(("objective", "posterior", "prior")) for one in overrides)
    lines += [
        f"speed      {metrics['num_steps']:,} steps in {metrics['seconds']:.0f} s, "
        f"{metrics['images_per_second']:,.0f} images/s",
        *([f"figures    {folder / 'figures'}"] if (folder / "figures").exists() else []),
        "\nnext",
        f"  TensorBoard        {beside_python('tensorboard')} --logdir {output_root}",
        f"  evaluate           {sibling_program('evaluate')} run={folder}",
        f"  HTML report        {sibling_program('report')} {folder}",
    ]
    if default:
        lines += [
            f"  another objective  {this_program()} {settings} objective=factor_vae",
            f"  sweep over beta    {this_program()} -m {settings} objective.beta=1,4,16",
        ]
    else:
        words = " ".join(one for one in overrides if not one.startswith(("resume=", "seed=")))
        lines += [f"  more seeds         {this_program()} -m {words} seed=1,2,3"]
    return "\n".join(lines)
