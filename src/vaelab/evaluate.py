"""Evaluating finished runs: scores into metrics.json and TensorBoard, figures into figures/."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from vaelab import build
from vaelab.errors import UserError
from vaelab.load import find_finished_runs, load_run
from vaelab.loaded_run import Run
from vaelab.metrics import AnyMetric, Metric, MultiRunMetric, Score, require_applicable
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.runs.config import to_container
from vaelab.runs.config_hash import SEED, canonical, key, without
from vaelab.runs.folder import RunFolder
from vaelab.runs.loggers import save_and_log_figure
from vaelab.runs.score_records import is_recorded, name_prefix, record_scores, score_identity
from vaelab.visualize.model import draw_model_figures, figure_names
from vaelab.visualize.scores import draw_score_figures

log = logging.getLogger(__name__)


@dataclass
class Evaluation:
    """The result of evaluating one run.

    Attributes:
        folder: the run's.
        scores: by name, those computed now.
        kept: metrics whose scores were there already.
        skipped: metrics left out because the data has no factors.
        undefined: metrics left out because they are not defined for the posterior or the prior.
        failed: metric -> why it could not be computed.
    """

    folder: RunFolder
    scores: dict[str, Score] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    undefined: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def evaluate_config(cfg: DictConfig, overrides: Sequence[str] = ()) -> Iterator[Evaluation]:
    """`evaluate` with the settings of conf/evaluate.yaml and the command line.

    Where the data has no factors or the posterior no density, the default metrics that need them
    are left out; metrics chosen on the command line raise an error.
    """
    if cfg.num_threads:
        torch.set_num_threads(cfg.num_threads)
    device = cfg.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return evaluate(
        cfg.run,
        build.build_metrics(cfg.metrics),
        to_container(cfg)["metrics"],
        checkpoint=cfg.checkpoint,
        device=device,
        data_root=cfg.data_root,
        force=cfg.force,
        skip_inapplicable=not any(override.startswith("metrics=") for override in overrides),
        figures=cfg.figures,
    )


def evaluate(
    path: str | Path,
    metrics: Mapping[str, AnyMetric],
    configs: Mapping[str, Any],
    *,
    checkpoint: str = "last",
    device: str = "cpu",
    data_root: str | None = None,
    force: bool = False,
    skip_inapplicable: bool = False,
    figures: bool = True,
) -> Iterator[Evaluation]:
    """Compute `metrics` of a run, a checkpoint, or every finished run below a folder.

    Scores that are there already for the same weights and settings are kept, so an evaluation that
    was stopped resumes where it was.

    Args:
        path: run folder, folder of runs, or checkpoint.
        metrics: by name; `configs` their settings, which are recorded with the scores.
        checkpoint: "last" or "best"; the scores of "best" get its name as a prefix.
        device: of the model.
        data_root: where the data is stored now, if it has moved since training.
        force: compute again what is there.
        skip_inapplicable: leave out what data or posterior do not allow, instead of raising.
        figures: draw the figures of every run after its metrics.

    Yields:
        One evaluation per run as soon as it is done, then those of metrics that compare runs.

    Raises:
        UserError: there is no run, or a metric is not defined for its data or posterior.
    """
    single = {name: metric for name, metric in metrics.items() if isinstance(metric, Metric)}
    multi = {name: metric for name, metric in metrics.items() if isinstance(metric, MultiRunMetric)}
    paths = _select_runs(Path(path), multi)
    load = partial(load_run, checkpoint=checkpoint, device=device, data_root=data_root)
    seeds_of_setting = defaultdict(list)
    for run_path in paths:
        evaluation = Evaluation(RunFolder(run_path))
        try:
            run = load(run_path)
            evaluation.folder = run.folder
            applicable = _select_metrics(single, run, evaluation, skip=skip_inapplicable)
        except UserError as error:
            if len(paths) == 1:
                raise
            evaluation.failed["the run"] = str(error)
            yield evaluation
            continue
        encoded = run.encoded_dataset(progress=_progress_bar)
        try:
            _score_run(run, encoded, applicable, configs, evaluation, force=force)
        finally:  # scores computed before an interruption are in metrics.json, too
            _log_scores(run, evaluation.scores)
        if figures:
            draw(run, encoded)
        seeds_of_setting[_setting(run)].append(run_path)
        if single:
            yield evaluation
    for run_paths in seeds_of_setting.values() if multi else ():
        yield from _score_setting(multi, configs, [load(run_path) for run_path in run_paths])


def _select_runs(path: Path, multi: Mapping[str, MultiRunMetric]) -> list[Path]:
    """The checkpoint or run, or the finished runs below a folder."""
    paths = [path] if path.is_file() else find_finished_runs(path)
    if multi and len(paths) < 2:
        raise UserError(
            f"{', '.join(multi)} compares runs and expects a folder of at least 2 finished runs "
            f"that differ in the seed, got {path}; name the folder of the sweep."
        )
    return paths


def _select_metrics(
    metrics: Mapping[str, Metric], run: Run, evaluation: Evaluation, *, skip: bool
) -> dict[str, Metric]:
    """The metrics that the run's data and posterior allow."""
    factors = run.data.splits.factors
    if not skip:
        require_applicable(metrics, factors, run.model)
    with_data = {n: m for n, m in metrics.items() if factors is not None or not m.needs_factors}
    allowed = {n: m for n, m in with_data.items() if not skip or m.supports(run.model)}
    evaluation.skipped = [name for name in metrics if name not in with_data]
    evaluation.undefined = [name for name in with_data if name not in allowed]
    return allowed


def _setting(run: Run) -> str:
    """The run's setting: the same for runs that differ in the seed alone.

    Runs of other labels.seed learned from other images: they start from the same weights at the
    same seed, and comparing these would measure something else.
    """
    return key(without(canonical(to_container(run.config)), SEED))


def _score_run(
    run: Run,
    encoded: EncodedDataset,
    metrics: Mapping[str, Metric],
    configs: Mapping[str, Any],
    evaluation: Evaluation,
    *,
    force: bool,
) -> None:
    """Compute and record the metrics of one run, those that are missing or all of them."""
    for name in metrics:
        if not force and is_recorded(run.folder, name, _identity(run, configs[name])):
            evaluation.kept.append(name)
    if evaluation.kept:
        log.info("kept: %s", ", ".join(evaluation.kept))
    missing = [name for name in metrics if name not in evaluation.kept]
    bar = tqdm(missing, disable=not missing, desc=str(run.folder.path), unit="metric", leave=False)
    for name in bar:
        bar.set_postfix_str(name)
        start = time.perf_counter()
        try:
            scores = metrics[name](encoded)
        except UserError as error:
            evaluation.failed[name] = str(error)
            continue
        _record(run, name, configs[name], scores, time.perf_counter() - start)
        encoded.save()
        evaluation.scores |= scores


def _score_setting(
    metrics: Mapping[str, MultiRunMetric], configs: Mapping[str, Any], runs: Sequence[Run]
) -> list[Evaluation]:
    """Compute and record the metrics that compare the runs of one setting."""
    evaluations = [Evaluation(run.folder) for run in runs]
    encoded_datasets = [run.encoded_dataset(progress=_progress_bar) for run in runs]
    for name, metric in metrics.items():
        start = time.perf_counter()
        try:
            results = metric(encoded_datasets)
        except UserError as error:
            for evaluation in evaluations:
                evaluation.failed[name] = str(error)
            continue
        seconds = time.perf_counter() - start
        for run, evaluation, scores in zip(runs, evaluations, results, strict=True):
            _record(run, name, configs[name], scores, seconds)
            _log_scores(run, scores)
            evaluation.scores |= scores
    return evaluations


def _progress_bar(batches: Iterable) -> Iterable:
    return tqdm(batches, unit="batch", leave=False, disable=None)  # none where output is a file


def _record(run: Run, name: str, config: Any, scores: dict[str, Score], seconds: float) -> None:
    """Write scores to metrics.json."""
    record_scores(run.folder, name, scores, run.step, _identity(run, config), seconds)


def _identity(run: Run, config: Any) -> dict[str, Any]:
    """What a score depends on."""
    checksum = run.data.splits.checksum
    return score_identity(config, run.weights_digest, checksum, run.checkpoint.stem)


def _log_scores(run: Run, scores: Mapping[str, Score]) -> None:
    """Write scores to TensorBoard, all in one file of events."""
    if not scores:
        return
    prefix = name_prefix(run.checkpoint.stem)
    with SummaryWriter(str(run.folder.path)) as writer:
        for name, score in scores.items():
            writer.add_scalar(f"{prefix}metrics/{name}", float(score), run.step)


def draw(run: Run, encoded: EncodedDataset) -> None:
    """Save the figures that the run lacks, and those of its scores, to figures/ and TensorBoard."""
    prefix = name_prefix(run.checkpoint.stem).replace("/", "_")
    there = {file.stem for file in run.folder.figures.glob("*")}
    names = [n for n in figure_names(run.model) if f"{prefix}{n}" not in there]
    when = f"step {run.step:,}"
    known = run.metrics
    flat = f"{name_prefix(run.checkpoint.stem)}metrics/"
    numbers = {name.removeprefix(flat): v for name, v in known.items() if name.startswith(flat)}
    with SummaryWriter(str(run.folder.path)) as writer:
        figures = draw_model_figures(run.model, run.data.splits, when, names=names)
        for name, figure in chain(figures, draw_score_figures(encoded, numbers, when)):
            save_and_log_figure(f"{prefix}{name}", figure, run.folder, run.step, [writer])
