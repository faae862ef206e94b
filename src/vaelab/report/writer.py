"""The files of a report: its page, its CSVs, and of a sweep Markdown with its figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaelab.files import write_atomically
from vaelab.report import blocks
from vaelab.report import selection as choice
from vaelab.report.groups import groups
from vaelab.report.markup import escape
from vaelab.report.page import frame, run_page
from vaelab.report.run_record import read, read_all
from vaelab.report.sweep import Sweep, sweep_sections
from vaelab.report.tables import cells_csv, tidy_csv
from vaelab.runs.folder import RunFolder

ADVICE = "Free some space or name another file by --output."


@dataclass(frozen=True)
class Place:
    """Where files go: into the folder reported on, or beside the page that was asked for."""

    folder: Path
    output: Path | None

    @property
    def page(self) -> Path:
        return self.output or self.folder / "report.html"

    def beside(self, name: str) -> Path:
        """report.md, cells.csv or figures; of page.html page.md, page_cells.csv, page_figures."""
        if self.output is None:
            return self.folder / name
        own = {"report.md": ".md", "scores.csv": ".csv"}.get(name, f"_{name}")
        return self.output.with_name(self.output.stem + own)


def of_one(run: RunFolder, place: Place, with_explorer: bool) -> tuple[Path, Path]:
    """Write the report of one run: (page, scores)."""
    record = read(run)
    files = {
        place.page: run_page(record, with_explorer),
        place.beside("scores.csv"): tidy_csv([record]),
    }
    _write(files)
    return place.page, place.beside("scores.csv")


def of_several(
    runs: Sequence[RunFolder],
    place: Place,
    with_explorer: bool,
    statistic: str,
    where: Sequence[str],
    by: str | None,
) -> tuple[Path, Path, Path, Path]:
    """Write the report of several runs: (page, scores, cells, Markdown).

    Raises:
        UserError: no run is as `where` says, or none has the number `by`.
    """
    records, unreadable = read_all(runs, place.folder)
    records = choice.where(records, where)
    choice.require_number(records, by)
    compared = groups(records, statistic)
    sweep = Sweep(place.folder, records, unreadable, compared, by, with_explorer)
    sections = list(sweep_sections(sweep))
    *_, outer, inner = place.folder.resolve().parts
    title = f"Runs of {outer if inner == 'sweep' else inner}"
    if where:
        title += f" with {' and '.join(where)}"
    head = f"<header><h1>{escape(title)}</h1></header>"
    figures = place.beside("figures")
    files: dict[Path, str | bytes] = {
        figures / f"{picture.name}{suffix}": content
        for picture in _pictures(sections)
        for suffix, content in picture.files.items()
    }
    names = ("scores.csv", "cells.csv", "report.md")
    texts = (tidy_csv(records), cells_csv(compared), blocks.markdown(title, sections, figures.name))
    places = [place.beside(name) for name in names]
    files |= dict(zip(places, texts, strict=True))
    files[place.page] = frame(f"vaelab: {title}", head + blocks.html(sections))
    _write(files)
    scores, cells, markdown = places
    return place.page, scores, cells, markdown


def _pictures(sections: Sequence[blocks.Section]) -> Iterator[blocks.Picture]:
    for section in sections:
        for block in section.blocks:
            if isinstance(block, blocks.Pictures):
                yield from block.members


def _write(files: dict[Path, str] | dict[Path, str | bytes]) -> None:
    for path, content in files.items():
        encoded = content.encode() if isinstance(content, str) else content
        write_atomically(path, lambda file, encoded=encoded: file.write(encoded), ADVICE)  # type: ignore[misc]
