"""Every combination of values as a sweep: the default sweeper of train.py -m."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vaelab.errors import UserError
from vaelab.sweep.costs import MANY, costs
from vaelab.sweep.jobs import composed, expand, lay, lock_folder
from vaelab.terminal import beside_python, sibling_program


def run_grid(
    folder: Path,
    typed: Sequence[str],
    launcher: DictConfig,
    *,
    params: Mapping[str, Any] | None = None,
    jobs: Sequence[Sequence[str]] | None = None,
    slice: str | None = None,
    plan_only: bool = False,
) -> None:
    """Plan the jobs of a grid, say what many of them will take, then run those not finished.

    Args:
        folder: of the sweep.
        typed: the words of the command line.
        launcher: its config.
        params, jobs, slice, plan_only: see conf/hydra/sweeper/grid.yaml.

    Raises:
        UserError: the jobs can't be composed, or the launcher can't be used.
        SweepFailed: jobs that did not finish.
    """
    lines = combinations(typed, params or {}, jobs or [[]])
    shared = set.intersection(*map(set, lines)) if lines else set()
    with lock_folder(folder):
        planned = composed(folder, sliced(lines, slice), sorted(shared))
        # Not before all jobs could be composed: torch takes seconds to import.
        from vaelab.sweep.run import build_launcher, run_sweep

        chosen = build_launcher(launcher)
        lay(planned)
        found = [one.job for one in planned]
        if plan_only or len(found) > MANY:
            print(costs(found, getattr(chosen, "num_jobs", 1)), flush=True)
        if not plan_only:
            run_sweep(folder, found, chosen)
            print(next_steps(folder, len(found)))


def next_steps(folder: Path, num_jobs: int) -> str:
    """What a sweep prints at its end: where it lies, and what to type next."""
    lines = [
        f"\nsweep     {folder}: {num_jobs} jobs finished\n\nnext",
        f"  its report        {sibling_program('report')} {folder}",
        f"  watch the runs    {beside_python('tensorboard')} --logdir {folder}",
    ]
    if num_jobs > 1:
        lines.append(
            f"  rank by UDR       {sibling_program('evaluate')} run={folder} metrics=[udr]"
        )
    return "\n".join(lines)


def combinations(
    typed: Sequence[str], params: Mapping[str, Any], jobs: Sequence[Sequence[str]]
) -> list[list[str]]:
    """The words of every job in order: line by line of `jobs`, what was typed moving fastest."""
    words = [word for word in typed if not word.lstrip("+~").startswith("hydra")]
    words = [*(f"{k}={'null' if v is None else v}" for k, v in params.items()), *words]
    combined = []
    for line in jobs:
        others = words
        if any(word.startswith("experiment=") for word in line):
            others = [word for word in words if not word.startswith("experiment=")]
        combined += expand([*line, *others])
    return combined


def sliced(lines: list[list[str]], text: str | None) -> list[list[str]]:
    """The jobs of "first:end", counted from 0, the end not among them.

    Raises:
        UserError: no slice, or one without any job.
    """
    if text is None:
        return lines
    first, colon, end = str(text).partition(":")
    try:
        numbers = (int(first or 0), int(end or len(lines)) if colon else int(first) + 1)
    except ValueError:
        numbers = (0, 0)
    if not 0 <= numbers[0] < min(numbers[1], len(lines)):
        raise UserError(
            f"hydra.sweeper.slice expects first:end within the {len(lines)} jobs, got {text}; such "
            f"as 0:{min(50, len(lines))}, which leaves out the end."
        )
    return lines[numbers[0] : numbers[1]]
