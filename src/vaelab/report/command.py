"""python scripts/report.py <folder>: report.html and scores.csv in that folder."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vaelab.errors import require
from vaelab.files import write_atomically
from vaelab.run_folder import find_runs

ADVICE = "Free some space or name another file by --output."


class Written(NamedTuple):
    """What a report is made of."""

    page: Path
    scores: Path


def main(argv: Sequence[str]) -> None:
    """The command line; prints where the files are.

    Raises:
        UserError: there is no run, or one can't be read.
    """
    parser = argparse.ArgumentParser(description=(write_report.__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a run folder, or a folder of runs at any depth")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the page, then FILE's .csv")
    parser.add_argument("--no-explorer", action="store_true", help="leave the latent explorer out")
    options = parser.parse_args(argv)
    written = write_report(options.folder, options.output, not options.no_explorer)
    size = written.page.stat().st_size / 1e6
    print(f"page    {written.page} ({size:.1f} MB)\nscores  {written.scores}")


def write_report(
    folder: str | os.PathLike, output: Path | None = None, with_explorer: bool = True
) -> Written:
    """Make the page of a run, or of all runs below a folder, and the CSV of their numbers.

    Args:
        folder: a run folder, or one of runs at any depth.
        output: the page's file, by default report.html in `folder`; the CSV then has its name.
        with_explorer: of the run, or of the best of several.

    Raises:
        UserError: there is no run, or one can't be read, or the files can't be written.
    """
    folder = Path(folder)
    require(
        output is None or output.suffix != ".csv",
        f"--output expects the page's file, got {output}, where the CSV goes; name it .html.",
    )
    runs = find_runs(folder)
    # Not before a run was found: torch and Lightning take seconds to import.
    from vaelab.report.page import run_page
    from vaelab.report.record import read
    from vaelab.report.sweep import sweep_page
    from vaelab.report.tables import tidy_csv

    if runs[0].path == folder:
        records = [read(runs[0])]
        page = run_page(records[0], with_explorer)
    else:
        records = [read(run, str(run.path.relative_to(folder))) for run in runs]
        page = sweep_page(folder.resolve().name, records, with_explorer)
    written = Written(
        output or folder / "report.html",
        output.with_suffix(".csv") if output else folder / "scores.csv",
    )
    for path, text in zip(written, (page, tidy_csv(records)), strict=True):
        write_atomically(path, lambda file, text=text: file.write(text.encode()), ADVICE)  # type: ignore[misc]
    return written
