"""scores.csv and cells.csv: every number of every run, and of every cell over its seeds."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from vaelab.report.groups import Group, spread
from vaelab.report.run_record import Record
from vaelab.report.settings import differing, settings

COLUMNS = ("run", "metric", "part", "value", "low", "high", "num_samples", "codes", "step")
MEASURED_AT_END = ("val/", "test/")
SAMPLE_SIZES = ("num_samples", "num_test", "num_train")
OF_A_CELL = (
    *("metric", "n", "mean", "mean_low", "mean_high"),
    *("median", "median_low", "median_high", "min", "max"),
)


def tidy_csv(records: Sequence[Record]) -> str:
    """One row a number, with a header.

    run          the run's folder, below the one reported on
    metric       the key in metrics.json: val/elbo, metrics/mig
    part         "value", or the factor that the number is about
    value        the number; low, high  its 95 % interval, empty where there is none
    num_samples  images that it was measured on;  codes  mean or sampled;  step  of the weights
    and a column for each setting that differs between the runs.
    """
    varied = differing([settings(record) for record in records])
    rows = [
        [record.name, *row, *(column[i] for column in varied.values())]
        for i, record in enumerate(records)
        for row in _rows(record)
    ]
    return _csv((*COLUMNS, *varied), rows)


def _rows(record: Record) -> Iterator[list[Any]]:
    """Everything after the run's name."""
    for metric, value in record.metrics.items():
        entry = record.score(metric)
        settings = entry.get("details") or {}
        low, high = entry.get("interval") or ("", "")
        step: Any = settings.get("step", "")
        if metric.startswith(MEASURED_AT_END):
            step = int(record.metrics.get("num_steps", 0)) or ""
        sizes = [settings[name] for name in SAMPLE_SIZES if name in settings]
        facts = [sizes[0] if sizes else "", settings.get("codes", ""), step]
        yield [metric, "value", value, low, high, *facts]
        for factor, part in (entry.get("breakdown") or {}).items():
            yield [metric, factor, part, "", "", *facts]


def cells_csv(groups: Sequence[Group]) -> str:
    """One row a number of each cell, over its finished runs that have it.

    The settings that differ but for the seed, then metric (the key in metrics.json), n (runs), the
    mean and the median with 95 % bootstrap intervals (empty for one run), min and max.
    """
    rows = [row for group in groups for row in group.rows[: len(group.records)]]
    varied = differing(rows, but=("seed",))
    content = []
    start = 0
    for group in groups:
        keys = dict.fromkeys(key for record in group.records for key in record.metrics)
        columns = {key: group.column(key) for key in keys}
        for cell in group.cells:
            if not len(cell.rows):
                continue
            values = [column[start + cell.rows[0]] for column in varied.values()]
            for key, column in columns.items():
                numbers = column[cell.rows]
                if np.isfinite(numbers).any():
                    content.append([*values, key, *_summary(numbers)])
        start += len(group.records)
    return _csv((*varied, *OF_A_CELL), content)


def _summary(values: np.ndarray) -> Iterator[Any]:
    """What OF_A_CELL names, after the metric."""
    kept = values[np.isfinite(values)]
    yield len(kept)
    for statistic in ("mean", "median"):
        _, value, interval = spread(kept, statistic)
        yield from (value, *(interval or ("", "")))
    yield from (kept.min(), kept.max())


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
