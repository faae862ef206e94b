"""Numbers of several runs: medians of a cell, and orders along a setting, seed by seed."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise

import numpy as np

from vaelab.reproduction.measurement import Number, median_of
from vaelab.reproduction.runs import TargetRun

ORDERS: dict[str, Callable[[float, float], bool]] = {
    "rises": lambda before, after: after > before,
    "falls": lambda before, after: after < before,
    "never rises": lambda before, after: after <= before,
    "never falls": lambda before, after: after >= before,
}


def medians(
    runs: Sequence[TargetRun], by: Sequence[str], orders: Mapping[str, str] | None = None
) -> dict[str, Number]:
    """Every number's median over the runs of a cell, and in how many seeds it has its order.

    Args:
        runs: all runs of the target.
        by: the settings that make a cell; runs of one cell differ in others, such as the seed.
            None of them: all runs are one cell.
        orders: number -> how it moves along the first of `by`, in the order of the runs; those
            that agree in everything else make a sequence.

    Returns:
        "<number> at <value> ..." -> median, "<number> of all" where all runs are one cell, and
        "<number> <order>" -> how many sequences obey it. Medians have intervals: over the runs, or
        of a single run's own score.
    """
    numbers = {}
    for cell, members in cells(runs, by).items():
        # Without what they have in common, so that runs of the same seed pair with other cells'.
        common = set.intersection(*(set(run.settings.items()) for run in members))
        rest = [_rest(run, dict(common)) for run in members]
        for name, values in columns(members).items():
            one = median_of(dict(zip(rest, values, strict=True)), _own_interval(members, name))
            numbers[f"{name} at {cell}" if by else f"{name} of all"] = one
    for name, order in (orders or {}).items():
        obeyed = (
            all(ORDERS[order](a, b) for a, b in pairwise(sequence))
            for sequence in sequences(runs, by[0], name)
        )
        numbers[f"{name} {order}"] = Number(sum(obeyed))
    return numbers


def cells(runs: Sequence[TargetRun], by: Sequence[str]) -> dict[str, list[TargetRun]]:
    """Cell -> its runs; a cell is named by its values, such as "beta_vae 4"."""
    members = defaultdict(list)
    for run in runs:
        members[" ".join(run.settings[key] for key in by if key in run.settings)].append(run)
    return dict(members)


def columns(runs: Sequence[TargetRun]) -> dict[str, list[float]]:
    """Number -> its values over the runs, of those numbers that all of them have."""
    names = [n for n, value in runs[0].numbers.items() if isinstance(value, int | float)]
    return {
        name: [float(run.numbers[name]) for run in runs]
        for name in names
        if all(name in run.numbers for run in runs)
    }


def sequences(runs: Sequence[TargetRun], along: str, name: str) -> list[list[float]]:
    """The values of a number along one setting, a list for each combination of the others."""
    lines = defaultdict(list)
    for run in runs:
        lines[_rest(run, [along])].append(float(run.numbers.get(name, math.nan)))
    return list(lines.values())


def table(runs: Sequence[TargetRun], by: Sequence[str], shown: Sequence[str]) -> str:
    """Medians, and in brackets the smallest and largest over a cell, as a Markdown table."""
    lines = [f"| {' '.join(by)} | runs | {' | '.join(shown)} |", "| --- " * (len(shown) + 2) + "|"]
    for cell, members in cells(runs, by).items():
        values = columns(members)
        entries = [_entry(values.get(name, [math.nan])) for name in shown]
        lines.append(f"| {cell} | {len(members)} | {' | '.join(entries)} |")
    return "\n".join(lines)


def _rest(run: TargetRun, but: Collection[str]) -> str:
    """The settings of a run `but` those."""
    return " ".join(f"{k}={v}" for k, v in sorted(run.settings.items()) if k not in but)


def _own_interval(runs: Sequence[TargetRun], name: str) -> tuple[float, float] | None:
    """The interval of a score of a single run."""
    scores = runs[0].numbers.get("scores", {})
    interval = scores.get(name.removeprefix("metrics/"), {}).get("interval")
    return tuple(interval) if interval and len(runs) == 1 else None


def _entry(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.4g}"
    return f"{np.median(values):.4g} [{np.min(values):.4g}, {np.max(values):.4g}]"  # or nan
