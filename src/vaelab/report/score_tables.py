"""The numbers of a run as tables: metrics with intervals and by factor, then all others."""

import json

from vaelab.report.markup import details, escape, interval, number, table
from vaelab.report.record import Record
from vaelab.report.summary import metric_title


def scores(record: Record) -> str:
    """Evaluation's metrics with intervals and factors, then all other numbers."""
    rows = [_score_row(record, key) for key in record.measured]
    text = "".join(
        [
            table(("metric", "value [95 % interval]", "measured on"), rows) if rows else "",
            _factor_table(record),
            "" if rows else '<p class="small">No metrics were evaluated for this run.</p>',
            _other_numbers(record),
        ]
    )
    return text if record.metrics or record.others else ""


def _score_row(record: Record, key: str) -> tuple[str, str, str]:
    entry = record.score(key)
    facts = entry.get("settings") or {}
    words = escape(", ".join(f"{name} {value}" for name, value in facts.items()))
    value = interval(record.metrics[key], entry.get("interval"))
    return escape(metric_title(key)), value, f'<span class="small">{words}</span>'


def _factor_table(record: Record) -> str:
    """Metrics that have a number for each factor, a column a factor."""
    parts = {key: record.score(key).get("per_factor") or {} for key in record.measured}
    names = list(dict.fromkeys(name for values in parts.values() for name in values))
    rows = [
        (escape(metric_title(key)), *(number(values.get(name), 3) for name in names))
        for key, values in parts.items()
        if values
    ]
    return table(("by factor", *map(escape, names)), rows) if rows else ""


def _other_numbers(record: Record) -> str:
    plain = [key for key in record.metrics if key not in record.measured]
    rows: list[tuple[str, str]] = [(escape(key), number(record.metrics[key], 6)) for key in plain]
    text = table(("number", "value"), rows) if rows else ""
    for name, value in record.others.items():
        if name != "evaluations":
            text += f"<p><b>{escape(name)}</b> <code>{escape(json.dumps(value))}</code></p>"
    return details(f"All {len(rows)} numbers of metrics.json", text) if text else ""
