"""python scripts/report.py <folder>: report.html and CSVs in that folder, of a sweep Markdown."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vaelab.errors import require
from vaelab.runs.folder import find_runs

STATISTICS = ("median", "mean")


class Written(NamedTuple):
    """What a report is made of; the last two of a folder of runs only."""

    page: Path
    scores: Path
    cells: Path | None = None
    markdown: Path | None = None


def main(argv: Sequence[str]) -> None:
    """The command line; prints where the files are.

    Raises:
        UserError: there is no run, or one can't be read.
    """
    parser = argparse.ArgumentParser(description=(write_report.__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a run folder, or a folder of runs at any depth")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the page; the rest beside it")
    parser.add_argument("--no-explorer", action="store_true", help="leave the latent explorer out")
    parser.add_argument(
        "--statistic", choices=STATISTICS, default="median", help="of the runs of a cell"
    )
    parser.add_argument(
        "--where", action="append", default=[], metavar="SETTING=VALUE", help="only such runs"
    )
    parser.add_argument("--by", metavar="NUMBER", help="that the best run has, as metrics/mig")
    options = parser.parse_args(argv)
    written = write_report(
        options.folder,
        options.output,
        not options.no_explorer,
        statistic=options.statistic,
        where=options.where,
        by=options.by,
    )
    size = written.page.stat().st_size / 1e6
    print(f"page    {written.page} ({size:.1f} MB)\nscores  {written.scores}")
    if written.markdown:
        print(f"cells   {written.cells}\ntext    {written.markdown}")


def write_report(
    folder: str | os.PathLike,
    output: Path | None = None,
    with_explorer: bool = True,
    *,
    statistic: str = "median",
    where: Sequence[str] = (),
    by: str | None = None,
) -> Written:
    """Make the page of a run, or of all runs below a folder, and the CSVs of their numbers.

    Args:
        folder: a run folder, or one of runs at any depth.
        output: the page's file, by default report.html in `folder`; the rest then has its name.
        with_explorer: of the run, or of the best of several.
        statistic: "median" or "mean", of the runs of a cell.
        where: conditions on settings, such as objective.beta=4.
        by: the number in metrics.json that the best run has the best of; by default val/elbo.

    Raises:
        UserError: there is no run, or none that is asked for, or the files can't be written. The
            page of one run also refuses files that can't be read; that of several names them.
    """
    folder = Path(folder)
    require(
        output is None or output.suffix not in (".csv", ".md"),
        f"--output expects the page's file, got {output}, where the "
        f"{'CSV' if output and output.suffix == '.csv' else 'Markdown'} goes; name it .html.",
    )
    runs = find_runs(folder)
    of_one = runs[0].path == folder
    require(
        not (of_one and (where or by)),
        f"--where and --by expect a folder of runs, got the run {folder}; leave them out.",
    )
    # Not before a run was found: torch and Lightning take seconds to import.
    from vaelab.report import writer as written

    place = written.Place(folder, output)
    if of_one:
        return Written(*written.of_one(runs[0], place, with_explorer))
    return Written(*written.of_several(runs, place, with_explorer, statistic, where, by))
