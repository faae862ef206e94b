"""The page of one run, and the frame that all pages share."""

import shlex
from collections.abc import Sequence
from typing import Any

from vaelab.report.curves import curves
from vaelab.report.explorer.page import explorer
from vaelab.report.figures import gallery
from vaelab.report.markup import (
    details,
    escape,
    own_text,
    section,
    table,
)
from vaelab.report.run_record import Record
from vaelab.report.score_tables import scores
from vaelab.report.settings import settings, shown
from vaelab.report.summary import key_numbers, sentences, state_note

# A page that asks the network for anything is a bug: the browser then refuses and complains.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def run_page(record: Record, with_explorer: bool = True) -> str:
    """The whole page of one run."""
    parts = [
        f"<header><h1>Run {escape(record.name)} {badge(record)}</h1></header>",
        section("Summary", summary(record), "summary"),
        section("Figures", f'<div class="gallery">{gallery(record)}</div>', "figures")
        if record.figures
        else "",
        section("Scores", scores(record), "scores"),
        section("Curves", f'<div class="gallery curves">{curves(record)}</div>', "curves")
        if record.curves
        else "",
        section("Latent explorer", explorer(record), "explorer") if with_explorer else "",
        section("Config", config(record), "config"),
        section("Provenance", provenance(record), "provenance"),
    ]
    return frame(f"vaelab run {record.name}", "".join(parts))


def frame(title: str, body: str) -> str:
    """A complete HTML document that needs nothing but itself."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{own_text('page.css')}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def badge(record: Record) -> str:
    """The state of the run as a coloured word."""
    return f'<span class="badge {escape(record.state)}">{escape(record.state)}</span>'


def summary(record: Record) -> str:
    """State, sentences and the numbers looked for first."""
    tiles = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in key_numbers(record)
    )
    return (
        state_note(record)
        + sentences(record)
        + (f'<dl class="tiles">{tiles}</dl>' if tiles else "")
    )


def config(record: Record) -> str:
    """What was typed, the settings in a table, config.yaml as it is."""
    # A resumed run repeats what it was started with.
    starts = (entry.get("overrides") or [] for entry in record.provenance)
    typed = dict.fromkeys(word for overrides in starts for word in overrides)
    chosen = {name: shown(value) for name, value in settings(record).items()}
    rows = [(escape(name), f"<code>{escape(value)}</code>") for name, value in chosen.items()]
    first = f"Set on the command line: <code>{escape(' '.join(typed)) or 'nothing'}</code>."
    text = record.folder.config.read_text(encoding="utf-8")
    return (
        f"<p>{first}</p>"
        + details(f"{len(rows)} settings", table(("setting", "value"), rows))
        + details("config.yaml", f"<pre>{escape(text)}</pre>")
    )


def provenance(record: Record) -> str:
    """Where the numbers come from: a table for each time the run was started."""
    entries = record.provenance
    if not entries:
        return '<p class="small">The run left no provenance.json.</p>'
    text = f'<p class="small">Folder <code>{escape(record.folder.path)}</code>.</p>'
    if len(entries) > 1:
        text += f'<p class="small">Started {len(entries)} times; the last is shown first.</p>'
    return text + "".join(table(("what", "value"), _facts(entry)) for entry in reversed(entries))


def _facts(entry: dict[str, Any]) -> list[tuple[str, str]]:
    git = entry.get("git") or {}
    changed = git.get("changed") or []
    commit = str(git.get("commit") or "none") + (" and changes in " if changed else "")
    machine = dict(entry.get("machine") or {})
    versions = entry.get("versions") or {}
    facts = {
        "command": shlex.join(map(str, entry.get("command") or [])),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "data checksum": entry.get("data_checksum") or "none",
        "git commit": commit + ", ".join(changed),
        "machine": _machine(machine),
    }
    return [(name, f"<code>{escape(value)}</code>") for name, value in facts.items()]


def _machine(machine: dict[str, Any]) -> str:
    words: Sequence[Any] = [machine.get("platform"), machine.get("cpu")]
    threads = machine.get("num_threads")
    gpus = ", ".join(machine.get("gpus") or []) or "no GPU"
    return ", ".join(str(w) for w in (*words, f"{threads} threads", gpus) if w)
