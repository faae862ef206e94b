"""The report of one run: summary, figures, scores, curves, explorer, config and provenance."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

from vaelab.report.blocks import (
    Badge,
    Block,
    Bold,
    Code,
    Details,
    Paragraph,
    Preformatted,
    Report,
    Section,
    Small,
    Table,
)
from vaelab.report.formatting import format_interval, format_metric, format_number, format_score
from vaelab.report.options import read_options, shorten
from vaelab.report.run_figures import show_curves, show_figures
from vaelab.report.run_record import Record
from vaelab.report.summary import summarize_run

SAID_ONCE = ("verdict", "step", "checkpoint")  # details that have their own sentence
LATENT = re.compile(r"z\d+")


def describe_run(record: Record, with_explorer: bool = True) -> Report:
    """The whole report of one run."""
    sections = [
        Section("Summary", "summary", list(summarize_run(record))),
        Section("Figures", "figures", list(show_figures(record))),
        Section("Scores", "scores", list(tabulate_scores(record))),
        Section("Training curves", "curves", list(show_curves(record))),
    ]
    if with_explorer:
        from vaelab.report.explorer.page import show_explorer  # imports torch

        sections.append(Section("Latent explorer", "explorer", [show_explorer(record)]))
    sections += [
        Section("Config", "config", list(_show_config(record))),
        Section("Provenance", "provenance", list(_show_provenance(record))),
    ]
    heading = (f"Run {record.name} ", Badge(record.state))
    return Report(f"vaelab run {record.name}", heading, sections)


def tabulate_scores(record: Record) -> Iterator[Block]:
    """Scores of evaluation with intervals, by factor and by latent, then all other numbers."""
    if record.measured:
        head = ("metric", "value [95 % interval]", "measured on")
        yield Table(head, [_score_row(record, key) for key in record.measured])
        yield from _name_checkpoints(record)
        yield from _tabulate_parts(record, "by factor", latents=False)
        yield from _tabulate_parts(record, "by latent", latents=True)
    elif record.metrics or record.others:
        yield Paragraph("No metrics were evaluated for this run.", "small")
    yield from _list_other_numbers(record)


def _score_row(record: Record, key: str) -> tuple[Any, ...]:
    score = record.score(key)
    details = {k: v for k, v in (score.get("details") or {}).items() if k not in SAID_ONCE}
    facts = ", ".join(f"{name} {_format_detail(value)}" for name, value in details.items())
    interval = format_interval(record.metrics[key], score.get("interval"))
    return format_score(key), interval, Small(facts)


def _format_detail(value: Any) -> str:
    return format_number(value, 4) if isinstance(value, float) else str(value)


def _name_checkpoints(record: Record) -> Iterator[Block]:
    """Which weights the scores are of."""
    details = [record.score(key).get("details") or {} for key in record.measured]
    known = sorted({(str(one.get("checkpoint")), one["step"]) for one in details if "step" in one})
    names = [f"the {name} checkpoint (step {format_number(step)})" for name, step in known]
    if names:
        yield Paragraph(f"Scores of {' and '.join(names)}.", "small")


def _tabulate_parts(record: Record, title: str, *, latents: bool) -> Iterator[Block]:
    """Scores with a number for each factor, or for each latent, one column per part."""
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
        (format_score(key), *(format_number(values.get(name), 3) for name in names))
        for key, values in parts.items()
        if values
    ]
    if rows:
        yield Table((title, *names), rows)


def _list_other_numbers(record: Record) -> Iterator[Block]:
    rows = [
        (format_metric(key), Code(key), format_number(value, 6))
        for key, value in record.metrics.items()
        if key not in record.measured
    ]
    blocks: list[Block] = [Table(("number", "key", "value"), rows)] if rows else []
    blocks += [
        Paragraph((Bold(name), " ", Code(json.dumps(value))))
        for name, value in record.others.items()
        if name != "evaluations"
    ]
    if blocks:
        yield Details(f"All {len(rows)} other numbers of metrics.json", blocks)


def _show_config(record: Record) -> Iterator[Block]:
    """The overrides, all options in a table, and config.yaml as it is."""
    # A resumed run repeats what it was started with.
    starts = (entry.get("overrides") or [] for entry in record.provenance)
    overrides = dict.fromkeys(one for start in starts for one in start)
    typed = Code(" ".join(overrides)) if overrides else "none"
    yield Paragraph(("Overrides on the command line: ", typed, "."))
    rows = [(name, Code(shorten(value))) for name, value in read_options(record).items()]
    yield Details(f"{len(rows)} options", [Table(("option", "value"), rows)])
    text = record.folder.config.read_text(encoding="utf-8")
    yield Details("config.yaml", [Preformatted(text)], in_markdown=False)


def _show_provenance(record: Record) -> Iterator[Block]:
    """A table per start of the run."""
    entries = record.provenance
    if not entries:
        yield Paragraph("The run left no provenance.json.", "small")
        return
    yield Paragraph(("Folder ", Code(record.folder.path), "."), "small")
    if len(entries) > 1:
        yield Paragraph(f"Started {len(entries)} times; the last start comes first.", "small")
    for entry in reversed(entries):
        yield Table(("what", "value"), _list_facts(entry))


def _list_facts(entry: dict[str, Any]) -> list[tuple[str, str]]:
    git = entry.get("git") or {}
    changed = git.get("changed") or []
    commit = str(git.get("commit") or "none") + (" and changes in " if changed else "")
    versions = entry.get("versions") or {}
    facts = {
        "command": shlex.join(map(str, entry.get("command") or [])),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "data checksum": entry.get("data_checksum") or "none",
        "git commit": commit + ", ".join(changed),
        "machine": _describe_machine(entry.get("machine") or {}),
    }
    return [(name, Code(value)) for name, value in facts.items()]


def _describe_machine(machine: dict[str, Any]) -> str:
    num = machine.get("num_threads")
    threads = f"{num} thread{'s' * (num != 1)}"
    gpus = ", ".join(machine.get("gpus") or []) or "no GPU"
    facts = (machine.get("platform"), machine.get("cpu"), threads, gpus)
    return ", ".join(str(fact) for fact in facts if fact)
