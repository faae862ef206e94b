"""Running one job from its folder: python -m vaelab.sweep.job FOLDER."""

import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from vaelab import build
from vaelab.config import load_current_config, plain
from vaelab.errors import known_cause, require, sentence
from vaelab.identity import job_id
from vaelab.run_folder import RunFolder, is_main_process
from vaelab.sweep.jobs import asked_of, id_of, overrides_of
from vaelab.sweep.lifeline import end_with_sweep

log = logging.getLogger(__name__)

FORMAT = logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")


def run_job(path: str | os.PathLike) -> dict[str, Any]:
    """Train what the job's config.yaml says, or go on with it, and evaluate if it asks for that.

    Returns:
        The run's final metrics.

    Raises:
        UserError: the config is not the one that was planned, or can't be trained; status.json then
            says failed.
    """
    folder = RunFolder(path)
    state = folder.status()["state"]
    cfg = load_current_config(folder.config)
    with _logged(folder.path / "train.log"):
        if state in ("finished", "pruned"):
            return evaluated(folder, cfg)
        require(
            job_id(plain(cfg)) == id_of(folder.path),
            f"a job expects the config it was planned with, got {folder.config}, which was "
            "changed since; type the command of the sweep again, which plans what is new.",
        )
        cfg.resume = None if state == "planned" else str(folder.path)
        return train_and_evaluate(cfg, folder.path, overrides_of(folder.path))


def train_and_evaluate(cfg: DictConfig, path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Train into `path`, then compute the metrics of `cfg.evaluation`; returns all metrics."""
    from vaelab.train import train

    metrics = train(cfg, path, list(overrides))
    return metrics | evaluated(RunFolder(path), cfg) if is_main_process() else metrics


def evaluated(folder: RunFolder, cfg: DictConfig) -> dict[str, Any]:
    """metrics.json of a run, after those metrics of `cfg.evaluation` that it lacks if it finished.

    Raises:
        UserError: a metric could not be computed; the others are in metrics.json.
    """
    chosen = build.build_metrics(cfg.get("evaluation"))
    if chosen and folder.status()["state"] != "pruned":
        try:
            _evaluate(folder, cfg, chosen)
        except Exception as error:
            # Trained it is; what is missing is tried again by the same command.
            known = folder.status().get("evaluated", {})
            folder.set_status("finished", evaluated=known, error=f"evaluation: {sentence(error)}")
            raise
        known = folder.status().get("evaluated", {})
        folder.set_status("finished", evaluated=known | asked_of(cfg))
        shutil.rmtree(folder.codes, ignore_errors=True)  # 60 MB a run, for what is done with
    return folder.read_metrics()


def _evaluate(folder: RunFolder, cfg: DictConfig, chosen: Mapping[str, Any]) -> None:
    from vaelab.evaluate import evaluate

    has_gpu = cfg.trainer.accelerator != "cpu" and torch.cuda.is_available()
    found = evaluate(
        folder.path,
        chosen,
        plain(cfg)["evaluation"],
        device="cuda" if has_gpu else "cpu",
        data_root=cfg.data_root if cfg.data.root == cfg.data_root else None,
        skip_inapplicable=True,
        figures=False,
    )
    failed: list[str] = []
    for one in found:
        failed += one.failed.values()
        for why, names in (
            ("the data has no factors", one.skipped),
            ("q(z|x) or p(z) has no density", one.undefined),
        ):
            if names:
                log.warning("left out, since %s: %s", why, ", ".join(names))
    require(not failed, "; ".join(failed))


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """What is logged goes to `path` too."""
    handler = logging.FileHandler(path)
    handler.setFormatter(FORMAT)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def tell(error: Exception) -> None:
    """Log a failure: as a sentence where the user can mend it, else with its trace."""
    log.error(sentence(error), exc_info=None if known_cause(error) else error)


def main() -> None:
    """A job as a process of its own."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m vaelab.sweep.job FOLDER")
    console = logging.StreamHandler()
    console.setFormatter(FORMAT)
    logging.basicConfig(level=logging.INFO, handlers=[console])
    os.environ.setdefault("POSSIBLE_USER_WARNINGS", "off")
    try:
        end_with_sweep()
        run_job(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        tell(error)
        sys.exit(2)


if __name__ == "__main__":
    main()
