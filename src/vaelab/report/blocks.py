"""What a sweep's report is made of: words, tables and pictures, as HTML and as Markdown."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vaelab.report.markup import details, escape, picture, section, table

CODE = re.compile(r"(`[^`]*`)")
BOLD = re.compile(r"\*\*([^*]+)\*\*")
INTERVAL = re.compile(r" (\[[^\]]*\])")


class State(str):
    """A run's state, which the page shows as a badge."""


@dataclass(frozen=True)
class Words:
    """A paragraph; `code` and **bold** are all its markup. kind: "", "small" or "note"."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """Cells of the same markup; the first of a row names it. `folded`: a title to open it by."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    folded: str = ""


@dataclass(frozen=True)
class Picture:
    """One picture; `files` are its bytes by suffix, the first for the page, ".png" for Markdown."""

    name: str
    files: dict[str, bytes]
    title: str
    sentence: str
    alt: str


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side."""

    members: Sequence[Picture]
    wide: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class OnPage:
    """HTML that Markdown has nothing for: the explorer, the runs one by one."""

    html: str


Block = Words | Table | Pictures | Heading | OnPage


@dataclass(frozen=True)
class Section:
    """Blocks under a title."""

    title: str
    anchor: str
    blocks: Sequence[Block]


def quoted(value: object) -> str:
    """Text from outside, such as an error: as code, so that it is no markup."""
    return "`" + " ".join(str(value).replace("`", "'").split()) + "`"


def listed(names: Sequence[str], most: int = 3) -> str:
    """A few names, then how many more."""
    shown = ", ".join(map(quoted, names[:most]))
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def html(sections: Iterable[Section]) -> str:
    """The body of the page."""
    return "".join(
        section(escape(one.title), "".join(map(_block_html, one.blocks)), one.anchor)
        for one in sections
    )


def words_html(text: str) -> str:
    """The markup of `Words` as HTML."""
    pieces = CODE.split(escape(text))
    return "".join(
        f"<code>{p[1:-1]}</code>" if p.startswith("`") else BOLD.sub(r"<b>\1</b>", p)
        for p in pieces
    )


def _block_html(block: Block) -> str:
    if isinstance(block, OnPage):
        return block.html
    if isinstance(block, Heading):
        return f"<h3>{words_html(block.text)}</h3>"
    if isinstance(block, Words):
        kind = f' class="{block.kind}"' if block.kind else ""
        return f"<p{kind}>{words_html(block.text)}</p>"
    if isinstance(block, Pictures):
        kind = "across" if block.wide else "pair"
        return f'<div class="{kind}">{"".join(map(_picture_html, block.members))}</div>'
    rows = [[_cell_html(cell) for cell in row] for row in block.rows]
    text = table(list(map(words_html, block.head)), rows, words_html(block.caption))
    return details(escape(block.folded), text) if block.folded else text


def _cell_html(cell: str) -> str:
    if isinstance(cell, State):
        return f'<span class="badge {escape(cell)}">{escape(cell)}</span>'
    return INTERVAL.sub(r' <span class="interval">\1</span>', words_html(cell))


def _picture_html(one: Picture) -> str:
    suffix, content = next(iter(one.files.items()))
    return picture(content, suffix, one.alt, one.title, one.sentence)


def markdown(title: str, sections: Iterable[Section], figures: str) -> str:
    """The same as Markdown with tables, its pictures in the folder `figures` beside it."""
    lines = [f"# {_plain(title)}", ""]
    for one in sections:
        texts = [text for text in (_block_markdown(b, figures) for b in one.blocks) if text]
        if texts:
            lines += [f"## {_plain(one.title)}", "", *(f"{text}\n" for text in texts)]
    return "\n".join(lines)


def _block_markdown(block: Block, figures: str) -> str:
    if isinstance(block, OnPage):
        return ""
    if isinstance(block, Heading):
        return f"### {_plain(block.text)}"
    if isinstance(block, Words):
        return f"> {_plain(block.text)}" if block.kind == "note" else _plain(block.text)
    if isinstance(block, Pictures):
        return "\n\n".join(
            f"![{_plain(one.alt)}]({figures}/{one.name}.png)\n\n"
            f"**{_plain(one.title)}.** {_plain(one.sentence)}"
            for one in block.members
        )
    head = [_cell_markdown(cell) for cell in block.head]
    lines = [head, ["---"] * len(head), *([_cell_markdown(c) for c in r] for r in block.rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    title = block.caption or block.folded
    return f"{_plain(title)}\n\n{text}" if title else text


def _cell_markdown(cell: str) -> str:
    return _plain(cell).replace("|", "\\|")


def _plain(text: str) -> str:
    """Our markup is Markdown's; what else Markdown would read as its own is escaped."""
    pieces = CODE.split(text)
    return "".join(p if p.startswith("`") else re.sub(r"([<>_\[\]#])", r"\\\1", p) for p in pieces)
