"""Judging finished runs: scores into metrics.json and TensorBoard, pictures into figures/."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from vaelab import build
from vaelab.errors import UserError
from vaelab.load import Run, load_run
from vaelab.metrics import AnyMetric, Metric, MultiRunMetric, Score, require_applicable
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.runs.config import to_container
from vaelab.runs.config_hash import SEED, canonical, key, without
from vaelab.runs.folder import RunFolder, find_runs
from vaelab.runs.loggers import save_and_log_figure
from vaelab.runs.score_records import is_recorded, name_prefix, record_scores, score_identity
from vaelab.runs.status import State
from vaelab.visualize.model import draw_model_figures, figure_names
from vaelab.visualize.scores import draw_score_figures

log = logging.getLogger(__name__)


@dataclass
class Evaluation:
    """What was found out about one run.

    Attributes:
        folder: the run's.
        scores: by name, those computed now.
        kept: metrics whose scores were there already.
        skipped: metrics left out since the data has no factors.
        undefined: metrics left out since the posterior or the prior has no such number.
        failed: metric -> the sentence why it gave nothing.
    """

    folder: RunFolder
    scores: dict[str, Score] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    undefined: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def evaluate_config(cfg: DictConfig, overrides: Sequence[str] = ()) -> Iterator[Evaluation]:
    """`evaluate` as conf/evaluate.yaml and the command line say.

    Metrics that nobody typed are left out where the data has no factors or the posterior no
    density; typed ones are refused.
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
        skip_inapplicable=not any(word.startswith("metrics=") for word in overrides),
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

    A score that is there already for the same weights and settings is kept, so that an evaluation
    that was stopped goes on where it was.

    Args:
        path: run folder, folder of runs, or checkpoint.
        metrics: by name; `configs` their settings, which are recorded with the scores.
        checkpoint: "last" or "best"; the scores of another than last get its name as prefix.
        device: where the model runs.
        data_root: where the data lies now, if it has moved since training.
        force: compute again what is there.
        skip_inapplicable: leave out what data or posterior do not allow, instead of refusing.
        figures: draw every run after its metrics.

    Yields:
        One evaluation a run as soon as it is there, then those of metrics that compare runs.

    Raises:
        UserError: there is no run, or a metric makes no sense for its data or posterior.
    """
    single = {name: metric for name, metric in metrics.items() if isinstance(metric, Metric)}
    over_runs = {n: metric for n, metric in metrics.items() if isinstance(metric, MultiRunMetric)}
    paths = _evaluable(Path(path))
    if over_runs and len(paths) < 2:
        raise UserError(
            f"{', '.join(over_runs)} compares runs and expects a folder of at least 2 finished "
            f"runs that differ in the seed, got {path}; name the folder of the sweep."
        )
    cells = defaultdict(list)
    for one in paths:
        evaluation = Evaluation(RunFolder(one))
        try:
            run = _load(one, checkpoint, device, data_root)
            evaluation.folder = run.folder
            chosen = _applicable(single, run, evaluation, skip=skip_inapplicable)
        except UserError as error:
            if len(paths) == 1:
                raise
            evaluation.failed["the run"] = str(error)
            yield evaluation
            continue
        encoded = run.encoded_dataset(progress=_bar)
        try:
            _score_run(run, encoded, chosen, configs, evaluation, force=force)
        finally:  # what was computed before an interruption is in metrics.json, too
            _plot(run, evaluation.scores)
        if figures:
            draw(run, encoded)
        cells[key(without(canonical(to_container(run.config)), SEED))].append(one)
        if single:
            yield evaluation
    for members in cells.values() if over_runs else ():
        runs = [_load(one, checkpoint, device, data_root) for one in members]
        yield from _score_cell(over_runs, configs, runs)


def _load(path: Path, checkpoint: str, device: str, data_root: str | None) -> Run:
    run = load_run(path, checkpoint, device)
    if data_root is not None:
        run.config.data.root = data_root
    return run


def _evaluable(path: Path) -> list[Path]:
    """The checkpoint or run, or the finished runs below a folder."""
    if path.is_file():
        return [path]
    runs = find_runs(path)
    if len(runs) == 1:
        return [runs[0].path]
    finished = [run.path for run in runs if run.status()["state"] == State.FINISHED]
    if not finished:
        raise UserError(
            f"expected finished runs below {path}, got {len(runs)} of which none has; go on with "
            "them by resume=, or evaluate one by its own path."
        )
    return finished


def _applicable(
    metrics: Mapping[str, Metric], run: Run, evaluation: Evaluation, *, skip: bool
) -> dict[str, Metric]:
    """The metrics that the run's data and posterior allow."""
    has_factors = run.data.splits.factors is not None
    if not skip:
        require_applicable(metrics, has_factors, run.model.posterior.has_density)
    with_data = {n: m for n, m in metrics.items() if has_factors or not m.needs_factors}
    allowed = {n: m for n, m in with_data.items() if not skip or m.supports(run.model)}
    evaluation.skipped = [name for name in metrics if name not in with_data]
    evaluation.undefined = [name for name in with_data if name not in allowed]
    return allowed


def _score_run(
    run: Run,
    encoded: EncodedDataset,
    metrics: Mapping[str, Metric],
    configs: Mapping[str, Any],
    evaluation: Evaluation,
    *,
    force: bool,
) -> None:
    for name in metrics:
        if not force and is_recorded(run.folder, name, _identity(run, configs[name])):
            evaluation.kept.append(name)
    if evaluation.kept:
        log.info("there already: %s", ", ".join(evaluation.kept))
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


def _score_cell(
    metrics: Mapping[str, MultiRunMetric], configs: Mapping[str, Any], runs: Sequence[Run]
) -> list[Evaluation]:
    """Scores that compare the runs of one cell of a sweep."""
    evaluations = [Evaluation(run.folder) for run in runs]
    encoded_datasets = [run.encoded_dataset(progress=_bar) for run in runs]
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
            _plot(run, scores)
            evaluation.scores |= scores
    return evaluations


def _record(run: Run, name: str, config: Any, scores: dict[str, Score], seconds: float) -> None:
    """Into metrics.json."""
    record_scores(run.folder, name, scores, run.step, _identity(run, config), seconds)


def _plot(run: Run, scores: Mapping[str, Score]) -> None:
    """Into TensorBoard; one file of events for all."""
    if not scores:
        return
    prefix = name_prefix(run.checkpoint.stem)
    with SummaryWriter(str(run.folder.path)) as writer:
        for name, score in scores.items():
            writer.add_scalar(f"{prefix}metrics/{name}", float(score), run.step)


def _identity(run: Run, config: Any) -> dict[str, Any]:
    """What a score depends on."""
    checksum = run.data.splits.checksum
    return score_identity(config, run.weights_digest, checksum, run.checkpoint.stem)


def draw(run: Run, encoded: EncodedDataset) -> None:
    """Pictures that the run lacks and those of its scores, into figures/ and TensorBoard."""
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


def table(evaluation: Evaluation) -> str:
    """The result of one run as text: a score a line, with its interval."""
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
    for word, names in left_out:
        if names:
            lines.append(f"{word:<9} {', '.join(names)}")
    lines += [f"FAILED    {name}: {sentence}" for name, sentence in evaluation.failed.items()]
    lines.append(f"numbers   {evaluation.folder.metrics}")
    return "\n".join(lines)


def _bar(batches: Iterable) -> Iterable:
    return tqdm(batches, unit="batch", leave=False, disable=None)  # none where output is a file
