"""scores.csv: every number of every run as a row, for those who plot themselves."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from vaelab.report.record import Record
from vaelab.report.settings import differing

COLUMNS = ("run", "metric", "part", "value", "low", "high", "num_samples", "codes", "step")
MEASURED_AT_END = ("val/", "test/")
SAMPLE_SIZES = ("num_samples", "num_test", "num_train")


def tidy_csv(records: Sequence[Record]) -> str:
    """One row a number, with a header.

    run          the run's folder, below the one reported on
    metric       the key in metrics.json: val/elbo, metrics/mig
    part         "value", or the factor that the number is about
    value        the number; low, high  its 95 % interval, empty where there is none
    num_samples  images that it was measured on;  codes  mean or sampled;  step  of the weights
    and a column for each setting that differs between the runs.
    """
    varied = differing(records)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *varied])
    for i, record in enumerate(records):
        values = [column[i] for column in varied.values()]
        for row in _rows(record):
            writer.writerow([record.name, *row, *values])
    return text.getvalue()


def _rows(record: Record) -> Iterator[list[Any]]:
    """Everything after the run's name."""
    for metric, value in record.metrics.items():
        entry = record.score(metric)
        settings = entry.get("settings") or {}
        low, high = entry.get("interval") or ("", "")
        step: Any = settings.get("step", "")
        if metric.startswith(MEASURED_AT_END):
            step = int(record.metrics.get("num_steps", 0)) or ""
        sizes = [settings[name] for name in SAMPLE_SIZES if name in settings]
        facts = [sizes[0] if sizes else "", settings.get("codes", ""), step]
        yield [metric, "value", value, low, high, *facts]
        for factor, part in (entry.get("per_factor") or {}).items():
            yield [metric, factor, part, "", "", *facts]
