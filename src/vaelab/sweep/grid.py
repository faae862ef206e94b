"""Every combination of values as a sweep: the default sweeper of train.py -m."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vaelab.errors import UserError
from vaelab.sweep.cost_estimate import MANY_JOBS, estimate_cost
from vaelab.sweep.jobs import compose_jobs, expand, lock_folder, write_job
from vaelab.terminal import beside_python, sibling_program


def run_grid(
    folder: Path,
    overrides: Sequence[str],
    launcher: DictConfig,
    *,
    params: Mapping[str, Any] | None = None,
    jobs: Sequence[Sequence[str]] | None = None,
    slice: str | None = None,
    plan_only: bool = False,
) -> None:
    """Plan the jobs of a grid, print what many of them will cost, then run those not finished.

    Args:
        folder: of the sweep.
        overrides: of the command line.
        launcher: its config.
        params, jobs, slice, plan_only: see conf/hydra/sweeper/grid.yaml.

    Raises:
        UserError: the jobs can't be composed, or the launcher can't be used.
        SweepFailed: jobs that did not finish.
    """
    combinations = combine(overrides, params or {}, jobs or [[]])
    shared = set.intersection(*map(set, combinations)) if combinations else set()
    with lock_folder(folder):
        planned = compose_jobs(folder, select_slice(combinations, slice), sorted(shared))
        # Not before all jobs could be composed: torch takes seconds to import.
        from vaelab.sweep.run import build_launcher, run_sweep

        chosen = build_launcher(launcher)
        for one in planned:
            write_job(one)
        found = [one.job for one in planned]
        if plan_only or len(found) > MANY_JOBS:
            print(estimate_cost(found, getattr(chosen, "num_jobs", 1)), flush=True)
        if not plan_only:
            run_sweep(folder, found, chosen)
            print(next_steps(folder, len(found)))


def next_steps(folder: Path, num_jobs: int) -> str:
    """What a sweep prints at its end: where it is stored, and useful commands."""
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


def combine(
    overrides: Sequence[str], params: Mapping[str, Any], jobs: Sequence[Sequence[str]]
) -> list[list[str]]:
    """The overrides of every job: entry by entry of `jobs`, the command line's varying fastest."""
    own = [one for one in overrides if not one.lstrip("+~").startswith("hydra")]
    own = [*(f"{k}={'null' if v is None else v}" for k, v in params.items()), *own]
    combinations = []
    for entry in jobs:
        further = own
        if any(one.startswith("experiment=") for one in entry):
            further = [one for one in own if not one.startswith("experiment=")]
        combinations += expand([*entry, *further])
    return combinations


def select_slice(combinations: list[list[str]], text: str | None) -> list[list[str]]:
    """The jobs of "first:end", counted from 0 and without the end; all of them for None.

    Raises:
        UserError: not a slice, or one without any job.
    """
    if text is None:
        return combinations
    num_jobs = len(combinations)
    first, colon, end = str(text).partition(":")
    try:
        numbers = (int(first or 0), int(end or num_jobs) if colon else int(first) + 1)
    except ValueError:
        numbers = (0, 0)
    if not 0 <= numbers[0] < min(numbers[1], num_jobs):
        raise UserError(
            f"hydra.sweeper.slice expects first:end within the {num_jobs} jobs, got {text}; such "
            f"as 0:{min(50, num_jobs)}, which leaves out the end."
        )
    return combinations[numbers[0] : numbers[1]]
