"""The page of a folder of runs: a table, plots against what differs, and each run in short."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from vaelab.report.explorer import explorer
from vaelab.report.markup import ABSENT, details, duration, escape, interval, number, section, table
from vaelab.report.page import badge, frame, summary
from vaelab.report.pictures import Budget, gallery
from vaelab.report.record import Record
from vaelab.report.scatter import scatter
from vaelab.report.score_tables import scores
from vaelab.report.settings import comparable, differing, is_numeric
from vaelab.report.summary import metric_title

FIGURE_BYTES = 20_000_000
MAX_SETTINGS, MAX_METRICS = 4, 12
MIN_PLOTTED = 3  # runs; two dots show nothing
MAIN = {"elbo": "ELBO", "reconstruction": "reconstruction", "kl": "KL"} | {
    "active_units": "active units"
}


def sweep_page(title: str, records: Sequence[Record], with_explorer: bool = True) -> str:
    """The whole page of several runs."""
    varied = differing(records)
    chosen = best(records)
    parts = [
        f"<header><h1>Runs of {escape(title)}</h1></header>",
        section("Summary", _summary(records, varied, chosen), "summary"),
        section("Runs", _table(records, varied), "runs"),
        section("What the settings do", _plots(records, varied), "plots"),
        section("Each run", _runs(records), "each"),
    ]
    if with_explorer and chosen is not None:
        title_of_best = f"Latent explorer of {escape(chosen.name)}"
        parts.append(section(title_of_best, explorer(chosen), "explorer"))
    return frame(f"vaelab runs of {title}", "".join(parts))


def best(records: Sequence[Record]) -> Record | None:
    """The finished run of the largest val/elbo; none where their ELBOs don't compare.

    Where no run has an ELBO (autoencoders), that of the least val/reconstruction.
    """
    if not comparable(records):
        return None
    name, sign = _criterion(records)
    finished = [r for r in records if r.state == "finished" and name in r.metrics]
    numbers = [r for r in finished if r.metrics[name] == r.metrics[name]]
    return max(numbers, key=lambda record: sign * record.metrics[name], default=None)


def _criterion(records: Sequence[Record]) -> tuple[str, int]:
    """The number that runs are compared by, and 1 where more is better, else -1."""
    if any("val/elbo" in record.metrics for record in records):
        return "val/elbo", 1
    return "val/reconstruction", -1


def _summary(records: Sequence[Record], varied: dict[str, list[Any]], chosen: Record | None) -> str:
    states = Counter(record.state for record in records)
    counted = ", ".join(f"{number} {escape(state)}" for state, number in states.items())
    text = f"{len(records)} runs: {counted}. "
    names = ", ".join(f"<code>{escape(name)}</code>" for name in varied)
    text += f"They differ in {names}. " if varied else "All have the same settings. "
    if chosen is not None:
        name, sign = _criterion(records)
        what = "largest validation ELBO" if sign > 0 else "least validation reconstruction"
        text += f"The {what}, {number(chosen.metrics[name])} nats per image, has <b>"
        text += f"{escape(chosen.name)}</b>."
    elif not comparable(records):
        text += "Their ELBOs don't compare, since data, pixels or likelihood differ."
    return f"<p>{text}</p>"


def _table(records: Sequence[Record], varied: dict[str, list[Any]]) -> str:
    metrics = _metrics(records)
    rows = [
        (
            f"{escape(record.name)}",
            badge(record),
            *(escape(ABSENT if column[i] is None else column[i]) for column in varied.values()),
            *(_main(record, name) for name in MAIN),
            *(_score(record, key) for key in metrics),
            duration(record.metrics["seconds"]) if "seconds" in record.metrics else ABSENT,
        )
        for i, record in enumerate(records)
    ]
    heads = (*varied, *MAIN.values(), *map(metric_title, metrics))
    errors = "".join(
        f'<p class="note failed"><b>{escape(record.name)}</b> failed: '
        f"{escape(record.status.get('error', 'it left no error'))}</p>"
        for record in records
        if record.state == "failed"
    )
    splits = {record.split for record in records if record.main("reconstruction") is not None}
    note = " and ".join(sorted({"test": "test", "val": "validation"}[s] for s in splits))
    caption = f"ELBO, reconstruction and KL in nats per image, {note} images." if note else ""
    return table(("run", "state", *map(escape, heads), "time"), rows, caption) + errors


def _main(record: Record, name: str) -> str:
    return number(record.main(name))


def _score(record: Record, key: str) -> str:
    return interval(record.metrics.get(key), record.score(key).get("interval"))


def _metrics(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(key for record in records for key in record.measured))


def _plots(records: Sequence[Record], varied: dict[str, list[Any]]) -> str:
    if len(records) < MIN_PLOTTED or not comparable(records):
        return ""
    numeric = [name for name, values in varied.items() if name != "seed" and is_numeric(values)]
    metrics = _metrics(records)
    blocks = []
    for name in numeric[:MAX_SETTINGS]:
        plots = list(_plots_against(records, name, varied[name], metrics[:MAX_METRICS]))
        if plots:
            blocks.append(f'<h3>{escape(name)}</h3><div class="plots">{"".join(plots)}</div>')
    left_out = [f"settings {', '.join(numeric[MAX_SETTINGS:])}"] if numeric[MAX_SETTINGS:] else []
    if blocks and metrics[MAX_METRICS:]:
        left_out.append(f"metrics {', '.join(map(metric_title, metrics[MAX_METRICS:]))}")
    if left_out:
        blocks.append(f'<p class="small">Not plotted: {escape("; ".join(left_out))}.</p>')
    if blocks:
        blocks.insert(0, '<p class="small">A dot is a run; bars are 95 % intervals.</p>')
    return "".join(blocks)


def _plots_against(
    records: Sequence[Record], setting: str, x: Sequence[float], metrics: Sequence[str]
) -> Iterator[str]:
    names = [record.name for record in records]
    for name, title in MAIN.items():
        values = [record.main(name) for record in records]
        yield scatter(x, [_or_nan(v) for v in values], names, setting, title)
    for key in metrics:
        y = [_or_nan(record.metrics.get(key)) for record in records]
        bounds = [record.score(key).get("interval") for record in records]
        yield scatter(x, y, names, setting, metric_title(key), bounds)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _runs(records: Sequence[Record]) -> str:
    budget = Budget(FIGURE_BYTES)
    return "".join(
        details(
            f"{escape(record.name)} {badge(record)}",
            f'{summary(record)}<div class="gallery">{gallery(record, budget)}</div>'
            f"{scores(record)}",
        )
        for record in records
    )
