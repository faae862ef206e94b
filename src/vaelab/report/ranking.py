"""Which setting and which run are best, by the metric asked for and by ELBO."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vaelab import metrics
from vaelab.errors import UserError, nearest
from vaelab.report.blocks import Block, Code, Figure, Figures, Paragraph, Table, Text, pieces
from vaelab.report.formatting import format_metric, format_number, format_setting
from vaelab.report.groups import Floats, Group, Setting
from vaelab.report.run_figures import KNOWN
from vaelab.report.run_record import Record, score_key
from vaelab.report.summary import HEADLINES
from vaelab.runs.statistics import rank_correlation, tukey_p_values

LOWER_IS_BETTER = ("reconstruction", "kl", "loss", "bits_per_dim", "seconds")
DEFAULTS = ("val/elbo", "val/reconstruction")  # autoencoders have no ELBO
SIGNIFICANCE = 0.05
MAX_NAMED, MAX_RANKED = 4, 20
SHOWN = ("traversals", "reconstructions")
MAX_SAMPLED = 6  # settings; of more, no samples are shown side by side
UDR = "metrics/udr_"


def choose_criteria(group: Group, by: str | None) -> list[str]:
    """The keys in metrics.json by which runs are ranked, the first of which counts.

    `by` or, without it, a score that the sweep's evaluation= asked for; then the ELBO.
    """
    asked = [by] if by is not None else _read_evaluation(group)
    known = [key for key in (*asked, *DEFAULTS) if np.isfinite(group.column(key)).any()]
    defaults = [key for key in known if key in DEFAULTS][:1]
    return list(dict.fromkeys([key for key in known if key in asked] + defaults))


def _read_evaluation(group: Group) -> list[str]:
    """The most telling score of the metrics that the runs were to be evaluated by."""
    for record in group.records:
        evaluations = record.others.get("evaluations") or {}
        asked = [evaluations.get(name) or {} for name in record.config.get("evaluation") or {}]
        keys = [f"metrics/{score}" for one in asked for score in one.get("scores", ())]
        if keys:
            return [next((key for key in HEADLINES if key in keys), keys[0])]
    return []


def require_metric(records: Sequence[Record], by: str | None) -> None:
    """Require that some run has the number that runs are to be ranked by.

    Raises:
        UserError: naming the nearest ones.
    """
    known = {key for record in records for key in record.metrics}
    if by is not None and known and by not in known:
        near = nearest(by, known)
        raise UserError(
            f"by expects a number of metrics.json, got {by!r}, which no run has; "
            f"{f'did you mean {near}?' if near else 'try val/elbo or metrics/mig.'}"
        )


def rank_runs(group: Group, key: str) -> list[int]:
    """The rows of the runs that have the number, the best first."""
    values: Floats = group.column(key)
    rows = np.flatnonzero(np.isfinite(values))
    return rows[np.argsort(-_sign(group, key) * values[rows], kind="stable")].tolist()


def _sign(group: Group, key: str) -> int:
    return 1 if higher_is_better(group.records, key) else -1


def higher_is_better(records: Sequence[Record], key: str) -> bool:
    """What the metric of a score says; of other numbers, what their name says."""
    known = getattr(metric_class(records, key), "higher_is_better", None)
    if known is not None:
        return bool(known)
    name = key.rpartition("/")[2]
    if name in LOWER_IS_BETTER or name.endswith("error"):
        return False
    return not key.partition("/")[2].startswith("kl_latent")


def metric_class(records: Sequence[Record], key: str) -> Any:
    """The class of the metric that computed a score of metrics.json; None if unknown."""
    score = (score_key(key) or "").rpartition("/")[2]
    for record in records if score else ():
        for entry in (record.others.get("evaluations") or {}).values():
            if isinstance(entry, dict) and score in entry.get("scores", ()):
                target = str((entry.get("config") or {}).get("_target_", ""))
                return getattr(metrics, target.rpartition(".")[2], None)
    return None


def compare_settings(group: Group, by: str | None) -> Iterator[Block]:
    """A sentence per criterion: which setting is best, and which ones may be as good."""
    for key in choose_criteria(group, by):
        yield Paragraph(_name_best_setting(group, key))


def _name_best_setting(group: Group, key: str) -> str:
    column, sign = group.column(key), _sign(group, key)
    settings = [one for one in group.settings if np.isfinite(column[one.rows]).any()]
    spreads = [group.spread(column[one.rows]) for one in settings]
    best = int(np.argmax([sign * spread.value for spread in spreads]))
    of_seeds = f"{group.statistic} " * any(spread.n > 1 for spread in spreads)
    metric, value = format_metric(key), "".join(pieces(spreads[best].format()))
    if len(settings) == 1:
        seeds = _count_seeds(group, [spreads[0].n])
        return f"There is one setting; its {of_seeds}{metric} is {value} over {seeds}."
    name = format_setting(settings[best].options)
    extreme = "highest" if sign > 0 else "lowest"
    text = f"{name} has the {extreme} {of_seeds}{metric}, {value}; "
    samples = [column[one.rows][np.isfinite(column[one.rows])] for one in settings]
    p = tukey_p_values(samples, best)
    if p is None:
        return text + "with one seed per setting, the differences may all be due to the seed."
    centres = np.array([sign * sample.mean() for sample in samples])
    close = [i for i in range(len(settings)) if p[i] >= SIGNIFICANCE or centres[i] > centres[best]]
    others = [settings[i] for i in close if i != best]
    seeds = _count_seeds(group, [len(sample) for sample in samples])
    if not others:
        return text + f"with {seeds}, it differs from every other setting (Tukey's test, 5 %)."
    which = _name_some(others, are_all=len(others) == len(settings) - 1)
    return text + f"{seeds} cannot separate it from {which} (Tukey's test, 5 %)."


def _count_seeds(group: Group, sizes: Sequence[int]) -> str:
    """3 seeds, 2 to 3 label seeds, or of runs that differ in both 9 runs."""
    unit = {"seeds": "seed", "label seeds": "label seed"}.get(group.seed_names, "run")
    low, high = min(sizes), max(sizes)
    number = str(low) if low == high else f"{low} to {high}"
    return f"{number} {unit}{'s' if high > 1 else ''}"


def _name_some(settings: Sequence[Setting], are_all: bool) -> str:
    """beta 1, beta 2 or beta 8; of many only their number."""
    if len(settings) > MAX_NAMED:
        return "any other setting" if are_all else f"{len(settings):,} other settings"
    *first, last = [format_setting(one.options) for one in settings]
    return f"{', '.join(first)} or {last}" if first else last


def show_best_runs(group: Group, prefix: str, by: str | None) -> Iterator[Block]:
    """The best run by each criterion, and the figures of the best and the median run."""
    criteria = choose_criteria(group, by)
    if not criteria or (by and by not in criteria):
        yield Paragraph(("No run has ", Code(by or DEFAULTS[0]), "."), "small")
    for key in criteria:
        yield Paragraph(_name_best_run(group, key))
    if not criteria:
        return
    order = rank_runs(group, criteria[0])
    chosen = {"Best run": order[0]}
    chosen |= {"Median run": order[len(order) // 2]} if len(order) > 2 else {}
    for figure in SHOWN:
        found = [
            _copy_figure(
                group.records[i], figure, f"{prefix}{name.split()[0].lower()}_{figure}", name
            )
            for name, i in chosen.items()
        ]
        if any(found):
            yield Figures([one for one in found if one])


def _name_best_run(group: Group, key: str) -> Text:
    order, values = rank_runs(group, key), group.column(key)

    def name(i: int) -> tuple[str, ...]:
        return Code(group.records[i].name), f" ({format_number(float(values[i]))})"

    extreme = "highest" if higher_is_better(group.records, key) else "lowest"
    metric = f"The {extreme} {format_metric(key)} of {len(order):,} runs is that of "
    text = (metric, *name(order[0]))
    if len(order) > 2:
        text += ("; the median run is ", *name(order[len(order) // 2]))
    return (*text, ".")


def _copy_figure(record: Record, figure: str, name: str, which: str) -> Figure | None:
    """A figure of the run itself, as the PNG that Markdown needs."""
    file = record.folder.figures / f"{figure}.png"
    if not file.exists():
        return None
    title, _ = KNOWN[figure]
    sentence, alt = f"Run {record.name}.", f"{title}, {which}."
    return Figure(name, {".png": file.read_bytes()}, f"{which}: {title}", sentence, alt)


def show_samples(group: Group, prefix: str) -> Iterator[Block]:
    """The samples of a run of each setting side by side, of two settings or a few more."""
    settings = [setting for setting in group.settings if len(setting.rows)]
    if not 1 < len(settings) <= MAX_SAMPLED:
        return
    found = []
    for i, setting in enumerate(settings):
        record, name = group.records[setting.rows[0]], format_setting(setting.options)
        figure = _copy_figure(record, "samples", f"{prefix}samples_{i}", name)
        found += [figure] if figure else []
    if found:
        yield Figures(found)


def rank_by_udr(group: Group, command: str) -> Iterator[Block]:
    """Runs ranked without labels, beside the scores that need ground-truth factors."""
    found = [name for name in group.columns if name.startswith(UDR)]
    if not found:
        yield Paragraph(("No run has been ranked by UDR; ", Code(command), " adds it."), "small")
        return
    others = [name for name in group.columns if "metrics/" in name and name not in found]
    supervised = [name for name in others if _needs_factors(group, name)]
    for name in found:
        column = group.columns[name]
        rhos = [
            f"{format_metric(one)} {format_number(rank_correlation(column, group.columns[one]), 2)}"
            for one in supervised
        ]
        num = int(np.isfinite(column).sum())
        if rhos:
            text = f"Rank correlation of {format_metric(name)} over {num} runs with: "
            yield Paragraph(f"{text}{', '.join(rhos)}.")
        order = [i for i in np.argsort(-column, kind="stable").tolist() if np.isfinite(column[i])]
        rows = [_row(group, i, [name, *supervised]) for i in order[:MAX_RANKED]]
        caption = f"The first {len(rows)} of {num} runs by {format_metric(name)}."
        yield Table(("run", *map(format_metric, (name, *supervised))), rows, caption)


def _needs_factors(group: Group, name: str) -> bool:
    return bool(getattr(metric_class(group.records, name), "needs_factors", True))


def _row(group: Group, i: int, names: Sequence[str]) -> tuple[str, ...]:
    values = (group.columns[name][i] for name in names)
    return Code(group.records[i].name), *(format_number(float(value), 3) for value in values)
