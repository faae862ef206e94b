"""The numbers of a run as tables: metrics with intervals and by factor, then all others."""

import json
import re
from typing import Any

from vaelab.report.markup import details, escape, interval, number, table
from vaelab.report.run_record import Record
from vaelab.report.summary import metric_title

ELSEWHERE = ("verdict", "step", "checkpoint")  # settings that the page says once
LATENT = re.compile(r"z\d+")


def scores(record: Record) -> str:
    """Evaluation's metrics with intervals and factors, then all other numbers."""
    rows = [_score_row(record, key) for key in record.measured]
    text = "".join(
        [
            table(("metric", "value [95 % interval]", "measured on"), rows) if rows else "",
            _weights(record),
            _rows_table(record, "by factor", latents=False),
            _rows_table(record, "by latent", latents=True),
            "" if rows else '<p class="small">No metrics were evaluated for this run.</p>',
            _other_numbers(record),
        ]
    )
    return text if record.metrics or record.others else ""


def _score_row(record: Record, key: str) -> tuple[str, str, str]:
    entry = record.score(key)
    facts = {k: v for k, v in (entry.get("details") or {}).items() if k not in ELSEWHERE}
    words = escape(", ".join(f"{name} {_fact(value)}" for name, value in facts.items()))
    value = interval(record.metrics[key], entry.get("interval"))
    return escape(metric_title(key)), value, f'<span class="small">{words}</span>'


def _fact(value: Any) -> str:
    return number(value, 4) if isinstance(value, float) else str(value)


def _weights(record: Record) -> str:
    """Which weights the metrics are of, said once."""
    settings = [record.score(key).get("details") or {} for key in record.measured]
    known = sorted({(str(s.get("checkpoint")), s["step"]) for s in settings if "step" in s})
    words = [f"the {escape(name)} checkpoint (step {number(step)})" for name, step in known]
    return f'<p class="small">Metrics of {" and ".join(words)}.</p>' if words else ""


def _rows_table(record: Record, title: str, *, latents: bool) -> str:
    """Metrics that have a number for each factor, or for each latent, a column each."""
    parts = {
        key: {
            name: value
            for name, value in (record.score(key).get("breakdown") or {}).items()
            if bool(LATENT.fullmatch(name)) is latents
        }
        for key in record.measured
    }
    names = list(dict.fromkeys(name for values in parts.values() for name in values))
    rows = [
        (escape(metric_title(key)), *(number(values.get(name), 3) for name in names))
        for key, values in parts.items()
        if values
    ]
    return table((title, *map(escape, names)), rows) if rows else ""


def _other_numbers(record: Record) -> str:
    plain = [key for key in record.metrics if key not in record.measured]
    rows: list[tuple[str, str]] = [(escape(key), number(record.metrics[key], 6)) for key in plain]
    text = table(("number", "value"), rows) if rows else ""
    for name, value in record.others.items():
        if name != "evaluations":
            text += f"<p><b>{escape(name)}</b> <code>{escape(json.dumps(value))}</code></p>"
    return details(f"All {len(rows)} numbers of metrics.json", text) if text else ""
