"""python scripts/report.py <folder>: write report.html, report.md and CSVs into that folder."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vaelab.errors import require, require_choice
from vaelab.files import write_atomically
from vaelab.runs.folder import RunFolder, find_runs

if TYPE_CHECKING:
    from vaelab.report.blocks import Figure, Report

STATISTICS = ("median", "mean")
ADVICE = "Free some space or name another file by --output."
DESCRIPTION = """\
Write the report of a run, or of all runs below a folder, into that folder:

  report.html   everything in one file that needs no network
  report.md     the same as Markdown
  scores.csv    every number of every run
  settings.csv  of several runs: every number of every setting, over its seeds
  figures/      of several runs: the figures of report.md, as PNG and SVG"""
EXAMPLES = """\
examples:
  python scripts/report.py outputs/main/2026-01-31_12-00-00
  python scripts/report.py outputs/main/sweep --by metrics/mig --where data=dsprites"""


class ReportPaths(NamedTuple):
    """The files of a report; the last is written for several runs only."""

    page: Path
    markdown: Path
    scores: Path
    settings: Path | None = None


@dataclass(frozen=True)
class OutputPaths:
    """Where files go: into the folder reported on, or beside the page that was asked for."""

    folder: Path
    output: Path | None

    @property
    def page(self) -> Path:
        return self.output or self.folder / "report.html"

    def beside(self, name: str) -> Path:
        """report.md, settings.csv or figures; of page.html page.md, page_settings.csv, ..."""
        if self.output is None:
            return self.folder / name
        endings = {"report.md": ".md", "scores.csv": ".csv", "report_figures": "_figures"}
        return self.output.with_name(self.output.stem + endings.get(name, f"_{name}"))


def main(argv: Sequence[str]) -> None:
    """The command line; prints the paths of the files.

    Raises:
        UserError: as by `write_report`.
    """
    options = _parser().parse_args(argv)
    paths = write_report(
        options.folder,
        options.output,
        not options.no_explorer,
        statistic=options.statistic,
        where=options.where,
        by=options.by,
    )
    print(f"report    {paths.page} ({paths.page.stat().st_size / 1e6:.1f} MB)")
    print(f"markdown  {paths.markdown}\nscores    {paths.scores}")
    if paths.settings:
        print(f"settings  {paths.settings}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", help="a run folder, or a folder with runs at any depth below it")
    parser.add_argument(
        "--output", metavar="FILE", help="the page, instead of report.html; all else goes beside it"
    )
    parser.add_argument(
        "--no-explorer", action="store_true", help="leave out the latent explorer: a smaller page"
    )
    parser.add_argument(
        "--statistic",
        choices=STATISTICS,
        default="median",
        help="over the seeds of a setting (default: %(default)s)",
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="only runs with this value, such as objective.beta=4; may be repeated",
    )
    parser.add_argument(
        "--by",
        metavar="NUMBER",
        help="rank settings and runs by this key of metrics.json, such as metrics/mig (default: "
        "a metric of the sweep's metrics@evaluation=, else val/elbo)",
    )
    return parser


def write_report(
    folder: str | os.PathLike,
    output: str | os.PathLike | None = None,
    with_explorer: bool = True,
    *,
    statistic: str = "median",
    where: Sequence[str] = (),
    by: str | None = None,
) -> ReportPaths:
    """Write the report of a run, or of all runs below a folder.

    Args:
        folder: a run folder, or a folder with runs at any depth below it.
        output: the page, by default report.html in `folder`; the other files take its name.
        with_explorer: whether the run, or the best of several, has a latent explorer.
        statistic: "median" or "mean", over the seeds of a setting.
        where: conditions on options, such as objective.beta=4.
        by: the key in metrics.json that settings and runs are ranked by; by default a metric
            of the sweep's metrics@evaluation=, else val/elbo.

    Raises:
        UserError: there is no run, or none that satisfies `where`, or files can't be written. A
            file of a single run that can't be read; the report of several runs lists those runs.
    """
    page = _check_arguments(folder, output, statistic)
    top = Path(folder)
    runs = find_runs(top)
    is_one = runs[0].path == top
    require(
        not (is_one and (where or by)),
        f"where and by expect a folder of several runs, got the run {folder}; leave them out.",
    )
    paths = OutputPaths(top, page)
    if is_one:
        return _report_run(runs[0], paths, with_explorer)
    return _report_runs(runs, paths, with_explorer, statistic, where, by)


def _check_arguments(
    folder: str | os.PathLike, output: str | os.PathLike | None, statistic: str
) -> Path | None:
    """`output` as a path."""
    require_choice("statistic", statistic, STATISTICS)
    for name, value in {"folder": folder, "output": output}.items():
        example = {"folder": "outputs/main/<time>", "output": "report.html"}[name]
        require(
            value is None or os.fspath(value) != "",
            f"{name} expects a path, got ''; try {example}.",
        )
    if output is None:
        return None
    page = Path(output)
    require(
        page.suffix not in (".csv", ".md") and not page.is_dir(),
        f"output expects the file of the page, got {page}, which is a folder or has the name of "
        "another file of the report; name it .html.",
    )
    return page


def _report_run(run: RunFolder, paths: OutputPaths, with_explorer: bool) -> ReportPaths:
    # Not before a run was found: torch and Lightning take seconds to import.
    from vaelab.report.run_page import describe_run
    from vaelab.report.run_record import read_run
    from vaelab.report.tables import write_scores_csv

    record = read_run(run)
    scores = paths.beside("scores.csv")
    report = describe_run(record, with_explorer)
    files = {scores: write_scores_csv([record])}
    return ReportPaths(paths.page, _write(report, paths, "report_figures", files), scores)


def _report_runs(
    runs: Sequence[RunFolder],
    paths: OutputPaths,
    with_explorer: bool,
    statistic: str,
    where: Sequence[str],
    by: str | None,
) -> ReportPaths:
    from vaelab.report.groups import group_runs
    from vaelab.report.options import filter_runs
    from vaelab.report.ranking import require_metric
    from vaelab.report.run_record import read_runs
    from vaelab.report.sweep_page import Sweep, describe_sweep
    from vaelab.report.tables import write_scores_csv, write_settings_csv

    records, unreadable = read_runs(runs, paths.folder)
    records = filter_runs(records, where)
    require_metric(records, by)
    groups = group_runs(records, statistic)
    sweep = Sweep(paths.folder, records, unreadable, groups, by, with_explorer)
    scores, settings = paths.beside("scores.csv"), paths.beside("settings.csv")
    files = {scores: write_scores_csv(records), settings: write_settings_csv(groups)}
    report = describe_sweep(sweep, _title(paths.folder.resolve(), where))
    return ReportPaths(paths.page, _write(report, paths, "figures", files), scores, settings)


def _title(folder: Path, where: Sequence[str]) -> str:
    """outputs/main/sweep -> Runs of main."""
    name = folder.parent.name if folder.name == "sweep" else folder.name
    return f"Runs of {name}" + (f" with {' and '.join(where)}" if where else "")


def _write(report: "Report", paths: OutputPaths, figures: str, texts: Mapping[Path, str]) -> Path:
    """Write the page, the Markdown with its figures, and other texts; returns the Markdown's."""
    from vaelab.report.render import render_html, render_markdown

    markdown, folder = paths.beside("report.md"), paths.beside(figures)

    def link(figure: "Figure") -> str:
        if figure.source is not None:
            return os.path.relpath(figure.source, markdown.parent)
        suffix = ".png" if ".png" in figure.files else next(iter(figure.files))
        return f"{folder.name}/{figure.name}{suffix}"

    files: dict[Path, bytes] = {
        folder / f"{figure.name}{suffix}": content
        for figure in report.figures()
        for suffix, content in figure.files.items()
        if figure.source is None
    }
    texts = {**texts, markdown: render_markdown(report, link), paths.page: render_html(report)}
    files |= {path: text.encode() for path, text in texts.items()}
    for path, content in files.items():
        write_atomically(path, lambda file, content=content: file.write(content), ADVICE)  # type: ignore[misc]
    return markdown
