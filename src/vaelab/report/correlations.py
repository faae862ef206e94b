"""How numbers go together: rank correlations, what explains their variance, UDR beside scores."""

from collections.abc import Iterator, Sequence

import numpy as np

from vaelab.report import sweep_plots
from vaelab.report.blocks import Block, Pictures, Table, Words, quoted
from vaelab.report.groups import Group
from vaelab.report.labels import title
from vaelab.report.markup import MINUS, number
from vaelab.report.selection import metric_class
from vaelab.runs.statistics import (
    TOGETHER,
    rank_correlation,
    rank_correlations,
    variance_shares,
)

MAX_CORRELATED, MAX_RANKED = 24, 20
MAX_NARROW = 8  # numbers whose correlations fit into a column
UDR = "metrics/udr_"
INTERACTIONS = "interactions"


def correlations(group: Group, prefix: str) -> Iterator[Block]:
    """How numbers rank the runs alike."""
    chosen = _varying(group)[:MAX_CORRELATED]
    if len(chosen) < 2:
        return
    rho, num = rank_correlations({name: group.columns[name] for name in chosen})
    counts = num[~np.eye(len(chosen), dtype=bool)]
    n = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    sentence = f"Spearman's, over n = {n} runs of all settings and seeds that have both numbers."
    drawn = sweep_plots.correlations(chosen, rho, f"{prefix}correlations", sentence)
    yield Pictures([drawn], wide=len(chosen) > MAX_NARROW)


def variance(group: Group, prefix: str) -> Iterator[Block]:
    """How much of each number's variance the settings and the seed explain."""
    if not group.varied:
        return
    shares = {name: variance_shares(group.columns[name], group.varied) for name in _varying(group)}
    known = {name: one for name, one in shares.items() if np.isfinite(one["seed"].corrected)}
    if not known:
        yield Words(
            "Seed and settings can't be told apart, since no cell has two finished runs; add "
            "seeds, as by `seed=range(5)`.",
            "small",
        )
        return
    parts = {
        setting: [one[setting].corrected for one in known.values()] for setting in group.varied
    }
    if len(group.varied) > 1:
        mains = np.sum(list(parts.values()), axis=0)
        together = [one[TOGETHER].corrected for one in known.values()]
        parts[INTERACTIONS] = (np.array(together) - mains).tolist()
    parts["seed"] = [one["seed"].corrected for one in known.values()]
    yield Pictures([sweep_plots.variance(list(known), parts, f"{prefix}variance")])
    head = ("number", *map(quoted, group.varied), "all settings", "seed")
    rows = [
        (title(name), *(f"{_share(s.corrected)} ({_share(s.raw)})" for s in one.values()))
        for name, one in known.items()
    ]
    caption = "Share of the variance over runs: corrected for the number of groups (raw)."
    yield Table(head, rows, caption)


def _share(value: float) -> str:
    return f"{value:.2f}".replace("-", MINUS)


def udr(group: Group, command: str) -> Iterator[Block]:
    """Runs ranked without labels, beside the scores that need them."""
    found = [name for name in group.columns if name.startswith(UDR)]
    if not found:
        yield Words(f"No run has been ranked by UDR; `{command}` adds it.", "small")
        return
    others = [name for name in group.columns if "metrics/" in name and name not in found]
    supervised = [name for name in others if _needs_factors(group, name)]
    for name in found:
        column = group.columns[name]
        rhos = [(one, rank_correlation(column, group.columns[one])) for one in supervised]
        text = ", ".join(f"{title(one)} {number(rho, 2)}" for one, rho in rhos)
        if text:
            n = int(np.isfinite(column).sum())
            yield Words(f"Rank correlation of {title(name)} over {n} runs with: {text}.")
        order = [i for i in np.argsort(-column, kind="stable") if np.isfinite(column[i])]
        rows = [_ranked(group, i, [name, *supervised]) for i in order[:MAX_RANKED]]
        head = ("run", *map(title, (name, *supervised)))
        caption = f"The first {len(rows)} of {len(order)} runs by {title(name)}."
        yield Table(head, rows, caption)


def _varying(group: Group) -> list[str]:
    """Numbers that three runs have and that are not the same in all."""
    finite = {name: column[np.isfinite(column)] for name, column in group.columns.items()}
    return [name for name, column in finite.items() if len(column) > 2 and np.ptp(column) > 0]


def _needs_factors(group: Group, name: str) -> bool:
    return bool(getattr(metric_class(group.records, name), "needs_factors", True))


def _ranked(group: Group, i: int, names: Sequence[str]) -> tuple[str, ...]:
    values = (group.columns[name][i] for name in names)
    return quoted(group.records[i].name), *(number(float(value), 3) for value in values)
