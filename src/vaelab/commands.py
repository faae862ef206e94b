"""The command line. Torch is imported inside the jobs, so that --help and typos answer at once."""

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vaelab.errors import UserError
from vaelab.explain import explain

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parents[1]
# A wheel carries conf/ inside the package, a checkout has it at its top level.
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else CHECKOUT / "conf"
STARTED = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def train() -> None:
    """Train as the command line says: scripts/train.py, vaelab-train."""
    _run(_train_job, "train")


def _run(job: Callable[[DictConfig], Any], config_name: str) -> None:
    """Hydra's main around a job, its errors turned into sentences."""
    register_resolvers()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hydra then raises instead of printing its own trace
    os.environ.setdefault("POSSIBLE_USER_WARNINGS", "off")  # Lightning's hints, which don't apply
    if (CHECKOUT / "conf").is_dir():
        os.environ.setdefault("VAELAB_DATA_DIR", str(CHECKOUT / "data"))
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)()
    except Exception as error:
        sentence = explain(error, CONF, config_name)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(2)


def register_resolvers() -> None:
    """Make `${run_folder:...}` known to OmegaConf."""
    OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)


def run_folder(resume: str | None, output_root: str, name: str) -> str:
    """The run to resume, or a folder that does not exist yet: <output_root>/<name>/<time>."""
    if resume:
        # Here, because hydra makes the folder before the job gets to look at it.
        if not (Path(resume) / "status.json").exists():
            raise UserError(
                f"resume expects the folder of a run, got {resume}, which holds none; name the "
                "folder that the run printed, such as outputs/main/<time>."
            )
        return resume
    folder = Path(output_root) / name / STARTED
    number = 2
    while folder.exists():
        folder = folder.with_name(f"{STARTED}-{number}")
        number += 1
    return str(folder)


def _train_job(cfg: DictConfig) -> float:
    """One run; returns val/elbo, for sweepers."""
    from vaelab.resume import resumed_config
    from vaelab.train import train

    hydra_cfg = HydraConfig.get()
    overrides = list(hydra_cfg.overrides.task)
    if cfg.resume:
        cfg = resumed_config(cfg.resume, overrides)
    folder = Path(hydra_cfg.runtime.output_dir)
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())
    metrics = train(cfg, folder, overrides)
    if int(os.environ.get("LOCAL_RANK", 0)) == 0:
        print(summary(folder, metrics))
    return metrics.get("val/elbo", float("nan"))


def summary(folder: Path, metrics: dict[str, Any]) -> str:
    """What a run printed at its end: where it lies, its figures, what to type next."""
    split = "test" if "test/elbo" in metrics else "val"
    lines = [f"\nrun       {folder}"]
    if f"{split}/elbo" in metrics:
        value = {name: metrics[f"{split}/{name}"] for name in ("elbo", "reconstruction", "kl")}
        lines += [
            f"{split:<9} ELBO {value['elbo']:.2f}   reconstruction {value['reconstruction']:.2f}   "
            f"KL {value['kl']:.2f} nats per image   "
            f"active units {metrics[f'{split}/active_units']:.0f}",
        ]
    lines += [
        f"speed     {metrics['num_steps']:,} steps in {metrics['seconds']:.0f} s, "
        f"{metrics['images_per_second']:,.0f} images/s",
        f"pictures  {folder / 'figures'}",
        "\nnext",
        "  watch it          .venv/bin/tensorboard --logdir outputs",
        "  another beta      .venv/bin/python scripts/train.py objective.beta=8",
        "  a sweep of beta   .venv/bin/python scripts/train.py -m objective.beta=1,4,16",
    ]
    return "\n".join(lines)
