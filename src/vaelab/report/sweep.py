"""The report of a folder of runs: what became of them, their cells, plots, and the best run."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaelab.report import correlations as relations
from vaelab.report import plots
from vaelab.report.best_runs import best
from vaelab.report.blocks import Block, Heading, OnPage, Section, Table, Words, quoted
from vaelab.report.cell_table import cells
from vaelab.report.figures import Budget, gallery
from vaelab.report.groups import Group
from vaelab.report.labels import title
from vaelab.report.markup import ABSENT, details, duration, escape, number
from vaelab.report.page import badge, summary
from vaelab.report.run_record import Record
from vaelab.report.run_states import states
from vaelab.report.score_tables import scores
from vaelab.report.selection import criterion, ranked
from vaelab.report.settings import differing

FIGURE_BYTES = 20_000_000
MAX_RUNS = 40  # of more the page does not tell one by one


@dataclass(frozen=True)
class Sweep:
    """What a report is made of.

    Attributes:
        folder: of the sweep.
        records: its runs in whatever state.
        unreadable: run -> why it can't be read.
        groups: its runs, those together whose ELBOs compare.
        by: the number that the best run has the best of; None for the default.
    """

    folder: Path
    records: Sequence[Record]
    unreadable: Mapping[str, str]
    groups: Sequence[Group]
    by: str | None = None
    with_explorer: bool = True


def sweep_sections(sweep: Sweep) -> Iterator[Section]:
    """The sections of the report, in order."""
    command = f"scripts/evaluate.py run={shlex.quote(str(sweep.folder))} metrics=[udr]"

    def of_groups(
        name: str, anchor: str, blocks: Callable[[Group, str], Iterator[Block]]
    ) -> Section:
        return Section(name, anchor, list(_of_groups(sweep.groups, blocks)))

    yield Section("Runs", "runs", list(states(sweep.records, sweep.unreadable, len(sweep.groups))))
    if not sweep.groups:
        return
    yield of_groups("Cells", "cells", cells)
    yield of_groups("What the settings do", "plots", plots.plots)
    yield of_groups("Rate and distortion", "rate-distortion", plots.rate_distortion)
    yield of_groups("Which numbers agree", "correlations", relations.correlations)
    yield of_groups("Seed or setting", "variance", relations.variance)
    yield of_groups("Ranked without labels", "udr", lambda g, _: relations.udr(g, command))
    yield of_groups("Best and median run", "best", lambda g, p: best(g, p, sweep.by))
    yield Section("Each run", "each", list(_each(sweep)))
    if sweep.with_explorer and len(sweep.groups) == 1:
        yield from _explorer(sweep)


def _of_groups(
    groups: Sequence[Group], blocks: Callable[[Group, str], Iterator[Block]]
) -> Iterator[Block]:
    """The blocks of each group, under its name where there are several."""
    for i, group in enumerate(groups):
        found = list(blocks(group, f"{i + 1}_" if len(groups) > 1 else ""))
        if found and group.label:
            yield Heading(group.label)
        yield from found


def _each(sweep: Sweep) -> Iterator[Block]:
    """A table of the runs and each in short; of many their numbers are in scores.csv alone."""
    if len(sweep.records) > MAX_RUNS:
        yield Words(
            f"The {len(sweep.records):,} runs are in `scores.csv`, one number a row.", "small"
        )
        return
    for group in sweep.groups:
        varied = differing(group.rows[: len(group.records)])
        rows = [
            (
                quoted(record.name),
                *(quoted(ABSENT if v[i] is None else v[i]) for v in varied.values()),
                *(number(_finite(column[i])) for column in group.columns.values()),
                duration(record.metrics["seconds"]) if "seconds" in record.metrics else ABSENT,
            )
            for i, record in enumerate(group.records)
        ]
        heads = ("run", *map(quoted, varied), *map(title, group.columns), "time")
        yield Table(heads, rows, "", " ".join(["Runs", group.label]).strip())
    budget = Budget(FIGURE_BYTES)
    for record in sweep.records:
        body = (
            f'{summary(record)}<div class="gallery">{gallery(record, budget)}</div>{scores(record)}'
        )
        yield OnPage(details(f"{escape(record.name)} {badge(record)}", body))


def _finite(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _explorer(sweep: Sweep) -> Iterator[Section]:
    from vaelab.report.explorer.page import explorer

    (group,) = sweep.groups
    key = criterion(group, sweep.by)
    if key is not None:
        record = group.records[ranked(group, key)[0]]
        yield Section(f"Latent explorer of {record.name}", "explorer", [OnPage(explorer(record))])
