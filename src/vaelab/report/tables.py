"""The tables of a sweep: runs and settings on the page, and every number as CSV."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vaelab.report.blocks import (
    Badge,
    Block,
    Bold,
    Code,
    Details,
    Paragraph,
    Table,
    Text,
    join,
    list_names,
    pieces,
)
from vaelab.report.formatting import MISSING, format_duration, format_metric, format_number
from vaelab.report.groups import MIN_BOOTSTRAP, SEED_NAMES, Floats, Group, Setting, summarize
from vaelab.report.options import find_varied, read_options
from vaelab.report.run_record import Record
from vaelab.runs.config_hash import SEEDS
from vaelab.runs.status import State

SCORE_COLUMNS = ("run", "metric", "part", "value", "low", "high", "num_samples", "codes", "step")
SETTING_COLUMNS = (
    *("metric", "n", "seeds", "label_seeds", "mean", "mean_low", "mean_high"),
    *("median", "median_low", "median_high", "min", "max"),
)
MEASURED_AT_END = ("val/", "test/")
SAMPLE_SIZES = ("num_samples", "num_test", "num_train")
MAX_LISTED = 100  # runs without numbers
MAX_SETTINGS = 200  # on the page; settings.csv has all
ACCURATE_FROM = 10  # runs, from which on bootstrap intervals are nearly wide enough
UNREADABLE = "unreadable"


def count_states(
    records: Sequence[Record], unreadable: Mapping[str, str], num_groups: int
) -> Iterator[Block]:
    """How many runs are in which state, in what they differ, and which have no numbers."""
    counts = Counter(str(record.state) for record in records)
    counts.update({UNREADABLE: len(unreadable)} if unreadable else {})
    total = len(records) + len(unreadable)
    counted = ", ".join(f"{num:,} {state}" for state, num in counts.items())
    varied = find_varied([read_options(record) for record in records])
    names = [(Code(name), " (", _list_values(values), ")") for name, values in varied.items()]
    same = "All have the same options." if total > 1 else ""
    differences = ("They differ in ", *join(", ", names), ".") if varied else (same,)
    yield Paragraph((f"{total:,} runs: {counted}. ", *differences))
    if not num_groups:
        yield Paragraph("No run has finished, so that there are no numbers yet.", "note")
    elif num_groups > 1:
        yield Paragraph(
            "ELBOs are not comparable between data sets, splits, pixels or likelihoods, so that "
            "each has its own tables and figures."
        )
    yield from _list_missing_runs(records, unreadable)


def _list_values(values: Sequence[object]) -> str:
    """The different values where they are few, else how many there are."""
    different = list(dict.fromkeys(MISSING if value is None else str(value) for value in values))
    return Code(", ".join(different)) if len(different) <= 6 else f"{len(different):,} values"


def _list_missing_runs(records: Sequence[Record], unreadable: Mapping[str, str]) -> Iterator[Block]:
    rows: list[tuple[str, ...]] = [
        (Code(name), Badge(UNREADABLE), Code(error)) for name, error in unreadable.items()
    ]
    rows += [
        (Code(record.name), Badge(record.state), _describe_end(record.status))
        for record in sorted(records, key=lambda record: record.state != State.FAILED)
        if not record.state.is_trained
    ]
    if rows:
        missing = "1 run is missing" if len(rows) == 1 else f"{len(rows):,} runs are missing"
        yield Paragraph((Bold(missing), " from all that follows:"))
        yield Table(("run", "state", "error"), rows[:MAX_LISTED])
    if len(rows) > MAX_LISTED:
        yield Paragraph(f"And {len(rows) - MAX_LISTED:,} more.", "small")


def _describe_end(status: Mapping[str, Any]) -> str:
    """The error of a run, or how far it came."""
    if status.get("error"):
        return Code(status["error"])
    if "step" in status and "num_steps" in status:
        return f"step {status['step']:,} of {status['num_steps']:,}"
    return MISSING


def tabulate_settings(group: Group) -> Iterator[Block]:
    """Every metric of every setting, over its seeds."""
    columns = group.columns
    counted = SEEDS if "label" in group.seed_names else ()
    rows = [
        (
            *(_format_option(value) for value in setting.options.values()),
            _count_runs(setting),
            *(str(setting.num_seeds[name]) for name in counted),
            *(_format_spread(group, setting, column) for column in columns.values()),
        )
        for setting in group.settings[:MAX_SETTINGS]
    ]
    head = (
        *map(Code, group.varied),
        "n",
        *(SEED_NAMES[name] for name in counted),
        *map(format_metric, columns),
    )
    yield Table(head, rows, _describe_table(group))
    if len(group.settings) > MAX_SETTINGS:
        rest = f"The other {len(group.settings) - MAX_SETTINGS:,} settings are in "
        yield Paragraph((rest, Code("settings.csv"), "."), "small")
    most = max(len(setting.rows) for setting in group.settings)
    if most == 1:
        yield Paragraph("Each setting has one run, so that there are no intervals.", "small")
    elif MIN_BOOTSTRAP <= most < ACCURATE_FROM:
        text = f"A setting has at most {most} runs: bootstrap intervals of so few are too narrow."
        yield Paragraph(text, "small")
    yield from _list_missing_numbers(group)


def _describe_table(group: Group) -> str:
    """The caption, which describes only what the table has."""
    values = group.columns.values()
    spreads = [group.spread(column[one.rows]) for one in group.settings for column in values]
    kinds = []
    if any(spread.bounds and not spread.is_range for spread in spreads):
        kinds.append("[95 % bootstrap interval]")
    if any(spread.is_range for spread in spreads):
        fewer = f"with fewer than {MIN_BOOTSTRAP} runs " if kinds else ""
        kinds.append(f"{fewer}(smallest to largest value)")
    spread = f" {', '.join(kinds)}" if kinds else ""
    kinds = group.seed_names.split(" and ")
    shared = " Runs that share one of these count as independent." * (len(kinds) > 1)
    images = {"test": "test", "val": "validation"}[group.split]
    return (
        f"One row per setting: the {group.statistic} over its {group.seed_names}{spread}; "
        f"n: finished runs.{shared} "
        f"ELBO, reconstruction and KL in nats per image, on {images} images."
    )


def _count_runs(setting: Setting) -> str:
    num = len(setting.rows)
    return str(num) if num == setting.num_runs else f"{num} of {setting.num_runs}"


def _format_option(value: object) -> str:
    return MISSING if value is None else Code(value)


def _format_spread(group: Group, setting: Setting, column: Floats) -> Text:
    spread = group.spread(column[setting.rows])
    if spread.n == 0:
        return MISSING
    some_missing = spread.n < len(setting.rows)
    return (*pieces(spread.format()), f" (n = {spread.n})") if some_missing else spread.format()


def _list_missing_numbers(group: Group) -> Iterator[Block]:
    """Numbers that some finished runs lack, or that are not finite."""
    missing: dict[tuple[str, ...], list[str]] = {}
    for name, column in group.columns.items():
        runs = tuple(group.records[i].name for i in np.flatnonzero(~np.isfinite(column)).tolist())
        if runs:
            missing.setdefault(runs, []).append(format_metric(name))
    for runs, names in missing.items():
        text = f"{', '.join(names)}: no finite number in {len(runs):,} of "
        text += f"{len(group.records):,} finished runs, "
        yield Paragraph((text, *list_names(runs), "."), "small")


def tabulate_runs(group: Group) -> Block:
    """Every metric of every finished run."""
    varied = find_varied(group.rows[: len(group.records)])
    rows = [
        (
            Code(record.name),
            *(_format_option(values[i]) for values in varied.values()),
            *(_format_finite(column[i]) for column in group.columns.values()),
            format_duration(record.metrics["seconds"]) if "seconds" in record.metrics else MISSING,
        )
        for i, record in enumerate(group.records)
    ]
    head = ("run", *map(Code, varied), *map(format_metric, group.columns), "time")
    return Details(" ".join(["Runs", group.label]).strip(), [Table(head, rows)])


def _format_finite(value: float) -> str:
    return MISSING if np.isnan(value) else format_number(float(value))


def write_scores_csv(records: Sequence[Record]) -> str:
    """scores.csv: one row per number, with a header.

    run          the run's folder, below the one reported on
    metric       the key in metrics.json: val/elbo, metrics/mig
    part         "value", or the factor or latent that the number is about
    value        the number;  low, high  its 95 % interval over images, empty where there is none
    num_samples  images it was measured on;  codes  mean or sampled;  step  of the weights
    and a column for each option that differs between the runs.
    """
    varied = find_varied([read_options(record) for record in records])
    rows = [
        [record.name, *row, *(column[i] for column in varied.values())]
        for i, record in enumerate(records)
        for row in _score_rows(record)
    ]
    return _write_csv((*SCORE_COLUMNS, *varied), rows)


def _score_rows(record: Record) -> Iterator[list[Any]]:
    """Everything after the run's name."""
    for metric, value in record.metrics.items():
        score = record.score(metric)
        details = score.get("details") or {}
        low, high = score.get("interval") or ("", "")
        step: Any = details.get("step", "")
        if metric.startswith(MEASURED_AT_END):
            step = int(record.metrics.get("num_steps", 0)) or ""
        sizes = [details[name] for name in SAMPLE_SIZES if name in details]
        facts = [sizes[0] if sizes else "", details.get("codes", ""), step]
        yield [metric, "value", value, low, high, *facts]
        for part, number in (score.get("breakdown") or {}).items():
            yield [metric, part, number, "", "", *facts]


def write_settings_csv(groups: Sequence[Group]) -> str:
    """settings.csv: one row per number of each setting, over its finished runs that have it.

    The options that differ except for the seeds, then metric (the key in metrics.json), n (runs),
    seeds and label_seeds (how many values of seed and labels.seed the setting's runs have), the
    mean and the median with 95 % bootstrap intervals (empty with fewer than 4 runs), min, max.
    """
    rows = [row for group in groups for row in group.rows[: len(group.records)]]
    varied = find_varied(rows, ignore=SEEDS)
    content = []
    start = 0
    for group in groups:
        keys = dict.fromkeys(key for record in group.records for key in record.metrics)
        columns = {key: group.column(key) for key in keys}
        for setting in group.settings:
            if not len(setting.rows):
                continue
            values = [column[start + setting.rows[0]] for column in varied.values()]
            for key, column in columns.items():
                numbers = column[setting.rows]
                if np.isfinite(numbers).any():
                    num_seeds = setting.num_seeds.values()
                    content.append([*values, key, *_summary_columns(numbers, num_seeds)])
        start += len(group.records)
    return _write_csv((*varied, *SETTING_COLUMNS), content)


def _summary_columns(values: np.ndarray, num_seeds: Iterable[int]) -> Iterator[Any]:
    """The columns of SETTING_COLUMNS after the metric."""
    kept = values[np.isfinite(values)]
    yield from (len(kept), *num_seeds)
    for statistic in ("mean", "median"):
        spread = summarize(kept, statistic)
        interval = None if spread.is_range else spread.bounds
        yield from (spread.value, *(interval or ("", "")))
    yield from (kept.min(), kept.max())


def _write_csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
