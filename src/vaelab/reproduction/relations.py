"""Numbers about the runs of several targets: which metrics agree, and what moves them."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from vaelab.reproduction.runs import TargetRun
from vaelab.runs.statistics import rank_correlation, variance_shares


def rank_correlations(
    runs: Sequence[TargetRun], metrics: Sequence[str], unsupervised: Sequence[str] = ()
) -> dict[str, float]:
    """Spearman's rho of every two of `metrics` over all runs, and of `unsupervised` with each.

    Returns:
        "rho a, b" for each pair in the order given, unsupervised numbers first; of the metrics
        "mean rho a" over the pairs with a, and "smallest mean rho but of a", over all except a.
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
        f"smallest mean rho but of {name}": min(v for other, v in means.items() if other != name)
        for name in metrics
    }


def shares(runs: Sequence[TargetRun], metrics: Sequence[str]) -> dict[str, float]:
    """What the spread of each metric comes from: the method, its strength, or the seed.

    A method is an objective of a target, a cell one strength of it; runs of a cell differ in their
    seed alone.

    Returns:
        For each metric: "<metric> share of method", "... of strength" (of the cells beyond their
        method) and "... of seed", corrected for how many groups there are (epsilon^2), and with
        "raw share" instead of "share" as the study shows them (eta^2, to which noise alone adds),
        see `statistics.variance_shares`; "spread of seeds in <metric>", the median over cells of
        the interquartile range; and "gap of methods in <metric>", the median over pairs of methods
        of the distance of their medians.
    """
    methods = [_method(run) for run in runs]
    cells = [_cell(run) for run in runs]
    numbers: dict[str, float] = {}
    parts = ("method", "cell", "seed")
    for name in metrics:
        values = _column(runs, name)
        explained = variance_shares(values, {"method": methods, "cell": cells})
        medians = [np.median(group) for group in _grouped(values, methods)]
        gaps = [abs(a - b) for a, b in combinations(medians, 2)]
        ranges = [np.subtract(*np.percentile(g, [75, 25])) for g in _grouped(values, cells)]
        numbers |= {
            **_shares(f"{name} share", [explained[one].corrected for one in parts]),
            **_shares(f"{name} raw share", [explained[one].raw for one in parts]),
            f"spread of seeds in {name}": float(np.median(ranges)) if ranges else np.nan,
            f"gap of methods in {name}": float(np.median(gaps)) if gaps else np.nan,
        }
    return numbers


def _shares(what: str, parts: Sequence[float]) -> dict[str, float]:
    method, cell, seed = parts
    named = {"method": method, "strength": cell - method, "seed": seed}
    return {f"{what} of {part}": value for part, value in named.items()}


def _column(runs: Sequence[TargetRun], name: str) -> np.ndarray:
    return np.array([float(run.numbers.get(name, np.nan)) for run in runs])


def _method(run: TargetRun) -> str:
    return f"{run.settings['target']} {run.settings.get('objective', '')}".strip()


def _cell(run: TargetRun) -> str:
    return " ".join(f"{key}={value}" for key, value in run.settings.items() if key != "seed")


def _grouped(values: np.ndarray, labels: Sequence[str]) -> list[np.ndarray]:
    """The finite values of each label."""
    groups = defaultdict(list)
    for value, label in zip(values, labels, strict=True):
        if np.isfinite(value):
            groups[label].append(value)
    return [np.array(group) for group in groups.values()]
