"""Numbers over several runs: medians over seeds, orders, rank correlations, shares of variance."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import combinations, pairwise

import numpy as np

from vaelab.errors import require_choice
from vaelab.reproduction.runs import TargetRun
from vaelab.reproduction.verdict import Interval, Measurement
from vaelab.runs.statistics import Floats, bootstrap, rank_correlation, variance_shares

ORDERS: dict[str, Callable[[float, float], bool]] = {
    "rises": lambda before, after: after > before,
    "falls": lambda before, after: after < before,
    "never rises": lambda before, after: after <= before,
    "never falls": lambda before, after: after >= before,
}


def medians(
    runs: Sequence[TargetRun], group_by: Sequence[str], orders: Mapping[str, str] | None = None
) -> dict[str, Measurement]:
    """The median of every number over the runs of a setting, and in how many seeds an order holds.

    Args:
        runs: all runs of the target.
        group_by: the names that make up a setting; its runs differ in others, such as the seed.
            Empty: all runs together.
        orders: number -> its order along the first name of `group_by`, in the order of the runs;
            runs that agree in everything else form a sequence.

    Returns:
        "<number> at <value> ..." -> median, or "<number> over all runs"; and "<number> <order>" ->
        the number of sequences in which the order holds. Medians have intervals: over the runs, or
        of the score of a single run.
    """
    numbers = {}
    for setting, members in group_by_setting(runs, group_by).items():
        # Without what they share, so that runs of the same seed pair with those of other settings.
        shared = set.intersection(*(set(run.settings.items()) for run in members))
        labels = [_label(run, dict(shared)) for run in members]
        for name, values in values_by_number(members).items():
            where = f"at {setting}" if group_by else "over all runs"
            by_run = dict(zip(labels, values, strict=True))
            numbers[f"{name} {where}"] = measure_median(by_run, _score_interval(members, name))
    for name, order in (orders or {}).items():
        require_choice("orders", order, ORDERS)
        holds = (
            all(ORDERS[order](a, b) for a, b in pairwise(sequence))
            for sequence in sequences(runs, group_by[0], name)
        )
        numbers[f"{name} {order}"] = Measurement(sum(holds))
    return numbers


def measure_median(values: Mapping[str, float], own: Interval | None = None) -> Measurement:
    """The median over runs with its bootstrap interval; of a single run with its `own` interval.

    NaN if the number of any run is, since such a run has no place in an order.
    """
    median = float(np.median(list(values.values())))
    if len(values) == 1:
        return Measurement(median, own, values)
    finite = all(map(math.isfinite, values.values()))
    return Measurement(
        median, bootstrap(list(values.values()), np.median) if finite else None, values
    )


def group_by_setting(runs: Sequence[TargetRun], names: Sequence[str]) -> dict[str, list[TargetRun]]:
    """Setting -> its runs; a setting is labelled by its values, such as "beta_vae 4"."""
    members = defaultdict(list)
    for run in runs:
        members[" ".join(run.settings[key] for key in names if key in run.settings)].append(run)
    return dict(members)


def values_by_number(runs: Sequence[TargetRun]) -> dict[str, list[float]]:
    """Number -> its values over the runs, for the numbers that all of them have."""
    names = [n for n, value in runs[0].numbers.items() if isinstance(value, int | float)]
    return {
        name: [float(run.numbers[name]) for run in runs]
        for name in names
        if all(name in run.numbers for run in runs)
    }


def sequences(runs: Sequence[TargetRun], along: str, name: str) -> list[list[float]]:
    """The values of a number along one setting, a list per combination of the others."""
    lines = defaultdict(list)
    for run in runs:
        lines[_label(run, [along])].append(float(run.numbers.get(name, math.nan)))
    return list(lines.values())


def format_table(runs: Sequence[TargetRun], group_by: Sequence[str], columns: Sequence[str]) -> str:
    """A Markdown table, one row per setting: median [smallest, largest] over its runs."""
    lines = [
        f"| {' '.join(group_by)} | runs | {' | '.join(columns)} |",
        "| --- " * (len(columns) + 2) + "|",
    ]
    for setting, members in group_by_setting(runs, group_by).items():
        values = values_by_number(members)
        entries = [_format_range(values.get(name, [math.nan])) for name in columns]
        lines.append(f"| {setting} | {len(members)} | {' | '.join(entries)} |")
    return "\n".join(lines)


def rank_correlations(
    runs: Sequence[TargetRun], metrics: Sequence[str], unsupervised: Sequence[str] = ()
) -> dict[str, float]:
    """Spearman's rho of every two of `metrics` over all runs, and of `unsupervised` with each.

    Returns:
        "rho a, b" for each pair in the order given, unsupervised numbers first; for each metric a
        "mean rho a", over the pairs with a, and "smallest mean rho except a", of the other metrics.
    """
    columns = {name: _column(runs, name) for name in metrics}
    rho = {pair: rank_correlation(*(columns[n] for n in pair)) for pair in combinations(metrics, 2)}
    numbers = {f"rho {a}, {b}": value for (a, b), value in rho.items()}
    means = {
        name: float(np.mean([value for pair, value in rho.items() if name in pair]))
        for name in metrics
    }
    numbers |= {f"mean rho {name}": value for name, value in means.items()}
    for number in unsupervised:
        column = _column(runs, number)
        numbers |= {f"rho {number}, {n}": rank_correlation(column, columns[n]) for n in metrics}
    return numbers | {
        f"smallest mean rho except {name}": min(v for n, v in means.items() if n != name)
        for name in metrics
    }


def variance_sources(runs: Sequence[TargetRun], metrics: Sequence[str]) -> dict[str, float]:
    """How much of the variance of each metric comes from the method, its strength, and the seed.

    A method is an objective of a target, a setting is one strength of it; the runs of a setting
    differ in the seed only.

    Returns:
        For each metric: "<metric> share of method", "... of strength" (of the settings beyond
        their method) and "... of seed", corrected for the number of groups (epsilon^2); the same
        with "raw share" in place of "share", as in the study (eta^2, which noise alone increases),
        see `statistics.variance_shares`; "seed spread of <metric>", the median over settings of the
        interquartile range; and "method gap of <metric>", the median over pairs of methods of the
        distance between their medians.
    """
    methods = [_method(run) for run in runs]
    settings = [_setting(run) for run in runs]
    numbers: dict[str, float] = {}
    for name in metrics:
        values = _column(runs, name)
        explained = variance_shares(values, {"method": methods, "setting": settings})
        parts = [explained[part] for part in ("method", "setting", "seed")]
        centres = [np.median(group) for group in _split(values, methods)]
        gaps = [abs(a - b) for a, b in combinations(centres, 2)]
        ranges = [np.subtract(*np.percentile(g, [75, 25])) for g in _split(values, settings)]
        numbers |= {
            **_name_shares(f"{name} share", [part.corrected for part in parts]),
            **_name_shares(f"{name} raw share", [part.raw for part in parts]),
            f"seed spread of {name}": float(np.median(ranges)) if ranges else np.nan,
            f"method gap of {name}": float(np.median(gaps)) if gaps else np.nan,
        }
    return numbers


def _name_shares(prefix: str, parts: Sequence[float]) -> dict[str, float]:
    method, setting, seed = parts
    named = {"method": method, "strength": setting - method, "seed": seed}
    return {f"{prefix} of {part}": value for part, value in named.items()}


def _label(run: TargetRun, without: Collection[str]) -> str:
    """The settings of a run as text, `without` some."""
    return " ".join(f"{k}={v}" for k, v in sorted(run.settings.items()) if k not in without)


def _score_interval(runs: Sequence[TargetRun], name: str) -> Interval | None:
    """The interval of a score of a single run."""
    scores = runs[0].numbers.get("scores", {})
    interval = scores.get(name.removeprefix("metrics/"), {}).get("interval")
    return tuple(interval) if interval and len(runs) == 1 else None


def _format_range(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.4g}"
    return f"{np.median(values):.4g} [{np.min(values):.4g}, {np.max(values):.4g}]"  # or nan


def _column(runs: Sequence[TargetRun], name: str) -> Floats:
    return np.array([float(run.numbers.get(name, np.nan)) for run in runs])


def _method(run: TargetRun) -> str:
    return f"{run.settings['target']} {run.settings.get('objective', '')}".strip()


def _setting(run: TargetRun) -> str:
    return " ".join(f"{key}={value}" for key, value in run.settings.items() if key != "seed")


def _split(values: Floats, labels: Sequence[str]) -> list[Floats]:
    """The finite values under each label."""
    groups = defaultdict(list)
    for value, label in zip(values, labels, strict=True):
        if np.isfinite(value):
            groups[label].append(value)
    return [np.array(group) for group in groups.values()]
