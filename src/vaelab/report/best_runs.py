"""The best run of a group and the one in the middle, side by side."""

from collections.abc import Iterator

from vaelab.report.blocks import Block, Picture, Pictures, Words, quoted
from vaelab.report.figures import KNOWN
from vaelab.report.groups import Group
from vaelab.report.labels import title
from vaelab.report.markup import number
from vaelab.report.run_record import Record
from vaelab.report.selection import criterion, higher_is_better, ranked

SHOWN = ("traversals", "reconstructions")


def best(group: Group, prefix: str, by: str | None) -> Iterator[Block]:
    """The best run and the one in the middle, and what they draw."""
    key = criterion(group, by)
    if key is None:
        yield Words(f"No run has {quoted(by or 'val/elbo')}, so that none is the best.", "small")
        return
    order = ranked(group, key)
    better = "largest" if higher_is_better(group.records, key) else "least"
    chosen = {"Best": order[0]}
    if len(order) > 2:
        chosen["Median"] = order[len(order) // 2]
    values = group.column(key)
    told = {
        name: f"{quoted(group.records[i].name)} ({number(float(values[i]))})"
        for name, i in chosen.items()
    }
    text = f"Of {len(order):,} runs the {better} {title(key)} has {told['Best']}"
    yield Words(text + (f"; in the middle is {told['Median']}." if "Median" in told else "."))
    for figure in SHOWN:
        pictures = [
            _drawn(group.records[i], figure, f"{prefix}{name.lower()}_{figure}", name)
            for name, i in chosen.items()
        ]
        found = [one for one in pictures if one]
        if found:
            yield Pictures(found)


def _drawn(record: Record, figure: str, name: str, which: str) -> Picture | None:
    """A figure of the run's own; Markdown needs it as PNG."""
    file = record.folder.figures / f"{figure}.png"
    if not file.exists():
        return None
    heading, _ = KNOWN[figure]
    sentence = f"Run {record.name}."
    alt = f"{heading} of the {which.lower()} run."
    return Picture(name, {".png": file.read_bytes()}, f"{which} run: {heading}", sentence, alt)
