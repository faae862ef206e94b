"""The report of several runs: the answer, their states, settings, figures and the best run."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaelab.report.blocks import Badge, Block, Code, Details, Heading, Paragraph, Report, Section
from vaelab.report.correlations import correlate_metrics, explain_variance
from vaelab.report.errors_by_labels import plot_errors_by_labels
from vaelab.report.groups import Group
from vaelab.report.ranking import (
    choose_criteria,
    compare_settings,
    rank_by_udr,
    rank_runs,
    show_best_runs,
    show_samples,
)
from vaelab.report.run_figures import Budget, show_figures
from vaelab.report.run_page import tabulate_scores
from vaelab.report.run_record import Record
from vaelab.report.summary import summarize_run
from vaelab.report.sweep_figures import plot_metrics, plot_rate_distortion
from vaelab.report.tables import count_states, tabulate_runs, tabulate_settings

FIGURE_BYTES = 10_000_000  # on the page, for the runs one by one
MAX_RUNS = 40  # with more, they are not shown one by one


@dataclass(frozen=True)
class Sweep:
    """What the report of several runs is made of.

    Attributes:
        folder: of the sweep.
        records: its runs, in any state.
        unreadable: run -> why it can't be read.
        groups: its runs, in groups whose ELBOs are comparable.
        by: the number that runs are ranked by; None for the default.
        with_explorer: whether the best run has a latent explorer.
    """

    folder: Path
    records: Sequence[Record]
    unreadable: Mapping[str, str]
    groups: Sequence[Group]
    by: str | None = None
    with_explorer: bool = True


def describe_sweep(sweep: Sweep, title: str) -> Report:
    """The whole report of several runs."""
    return Report(f"vaelab: {title}", title, list(_sections(sweep)))


def _sections(sweep: Sweep) -> Iterator[Section]:
    command = f"scripts/evaluate.py run={shlex.quote(str(sweep.folder))} metrics=[udr]"
    over_seeds = (
        f"{sweep.groups[0].statistic} over {sweep.groups[0].seed_names}" if sweep.groups else ""
    )

    def per_group(
        name: str, anchor: str, describe: Callable[[Group, str], Iterator[Block]]
    ) -> Section:
        return Section(name, anchor, list(_describe_groups(sweep.groups, describe)))

    states = list(count_states(sweep.records, sweep.unreadable, len(sweep.groups)))
    if sweep.groups:
        yield per_group("Summary", "summary", lambda g, _: compare_settings(g, sweep.by))
    yield Section("Runs", "runs", states)
    if not sweep.groups:
        return
    yield per_group(
        f"Settings ({over_seeds})", "settings", lambda group, _: tabulate_settings(group)
    )
    yield per_group("Errors against the number of labels", "labels", plot_errors_by_labels)
    yield per_group("Metrics against each option", "options", plot_metrics)
    yield per_group("Rate and distortion", "rate-distortion", plot_rate_distortion)
    yield per_group("Rank correlation between metrics", "correlations", correlate_metrics)
    yield per_group("Variance explained by options and by the seed", "variance", explain_variance)
    yield per_group("Ranking without labels (UDR)", "udr", lambda g, _: rank_by_udr(g, command))
    yield per_group("Best and median run", "best", lambda g, p: show_best_runs(g, p, sweep.by))
    yield per_group("Samples of each setting", "samples", show_samples)
    yield Section("Each run", "each", list(_show_each_run(sweep)))
    if sweep.with_explorer and len(sweep.groups) == 1:
        yield from _explore_best_run(sweep)


def _describe_groups(
    groups: Sequence[Group], describe: Callable[[Group, str], Iterator[Block]]
) -> Iterator[Block]:
    """The blocks of each group, under its label where there are several."""
    for i, group in enumerate(groups):
        found = list(describe(group, f"{i + 1}_" if len(groups) > 1 else ""))
        if found and group.label:
            yield Heading(group.label)
        yield from found


def _show_each_run(sweep: Sweep) -> Iterator[Block]:
    """A table of the runs, and each of them in short."""
    if len(sweep.records) > MAX_RUNS:
        text = f"The numbers of the {len(sweep.records):,} runs are in "
        yield Paragraph((text, Code("scores.csv"), ", one per row."), "small")
        return
    for group in sweep.groups:
        yield tabulate_runs(group)
    budget = Budget(FIGURE_BYTES)
    for record in sweep.records:
        blocks = [*summarize_run(record), *show_figures(record, budget), *tabulate_scores(record)]
        yield Details((f"{record.name} ", Badge(record.state)), blocks, in_markdown=False)


def _explore_best_run(sweep: Sweep) -> Iterator[Section]:
    from vaelab.report.explorer.page import show_explorer  # imports torch

    (group,) = sweep.groups
    for key in choose_criteria(group, sweep.by)[:1]:
        record = group.records[rank_runs(group, key)[0]]
        yield Section(f"Latent explorer of {record.name}", "explorer", [show_explorer(record)])
