"""Which metrics agree over runs, and how much of their variance options and the seed explain."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vaelab.report.blocks import Block, Code, Figures, Paragraph, Table
from vaelab.report.formatting import MINUS, format_metric
from vaelab.report.groups import Group
from vaelab.report.sweep_figures import draw_correlations, draw_variance
from vaelab.runs.statistics import TOGETHER, Share, rank_correlations, variance_shares

MAX_CORRELATED = 24
MAX_NARROW = 8  # metrics whose correlations fit into a column
INTERACTIONS = "interactions"
AllShares = Mapping[str, Mapping[str, Share]]  # of each metric, each part


def correlate_metrics(group: Group, prefix: str) -> Iterator[Block]:
    """The rank correlation of every pair of metrics."""
    chosen = _find_varying(group)[:MAX_CORRELATED]
    if len(chosen) < 2:
        return
    rho, num = rank_correlations({name: group.columns[name] for name in chosen})
    counts = num[~np.eye(len(chosen), dtype=bool)]
    n = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    sentence = f"Spearman's, over the n = {n} runs of all settings and seeds that have both."
    drawn = draw_correlations(chosen, rho, f"{prefix}correlations", sentence)
    yield Figures([drawn], "across" if len(chosen) > MAX_NARROW else "pair")


def explain_variance(group: Group, prefix: str) -> Iterator[Block]:
    """The share of each metric's variance that each option and the seed explain."""
    if not group.varied:
        return
    shares = {
        name: variance_shares(group.columns[name], group.varied) for name in _find_varying(group)
    }
    known = {name: one for name, one in shares.items() if np.isfinite(one["seed"].corrected)}
    if not known:
        text = "Seed and options cannot be separated, since no setting has two finished runs; add "
        yield Paragraph((text, "seeds, for example by ", Code("seed=range(5)"), "."), "small")
        return
    parts = _split_variance(known, list(group.varied))
    yield Figures([draw_variance(list(known), parts, f"{prefix}variance")])
    yield _tabulate_shares(known, group)


def _split_variance(shares: AllShares, options: Sequence[str]) -> dict[str, list[float]]:
    """Part -> its corrected share in each metric: options, their interactions, and the seed."""

    def collect(part: str) -> list[float]:
        return [one[part].corrected for one in shares.values()]

    parts = {option: collect(option) for option in options}
    if len(options) > 1:
        mains = np.sum(list(parts.values()), axis=0)
        parts[INTERACTIONS] = (np.array(collect(TOGETHER)) - mains).tolist()
    return parts | {"seed": collect("seed")}


def _tabulate_shares(shares: AllShares, group: Group) -> Table:
    options = list(group.varied)
    together = {TOGETHER: "all options together"} if len(options) > 1 else {}
    columns = {name: Code(name) for name in options} | together | {"seed": "seed"}
    rows = [
        (format_metric(name), *(_format_share(one[column]) for column in columns))
        for name, one in shares.items()
    ]
    caption = (
        "Share of the variance over runs that options and the seed explain, corrected for chance "
        "(raw, without the correction). An option without effect has a corrected share of 0 on "
        "average: a negative one, and with it one above 1 for the seed, means no effect beyond "
        "the noise of the seeds."
    )
    if group.seed_names != "seeds":
        caption += f" The share of the seed is that of the {group.seed_names}."
    return Table(("metric", *columns.values()), rows, caption)


def _format_share(share: Share) -> str:
    return f"{share.corrected:.2f} (raw {share.raw:.2f})".replace("-", MINUS)


def _find_varying(group: Group) -> list[str]:
    """Metrics that at least three runs have and that are not the same in all."""
    finite = {name: column[np.isfinite(column)] for name, column in group.columns.items()}
    return [name for name, column in finite.items() if len(column) > 2 and np.ptp(column) > 0]
