"""Reports as HTML, by templates that escape everything, and as Markdown, which is escaped alike."""

import base64
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vaelab.report.blocks import (
    Badge,
    Block,
    Bold,
    Code,
    Details,
    Figure,
    Figures,
    Heading,
    Interval,
    KeyNumbers,
    Paragraph,
    Preformatted,
    RawHTML,
    Report,
    Small,
    Table,
    Text,
    css_class,
    pieces,
)

FOLDER = Path(__file__).parent
MIME = {".png": "image/png", ".gif": "image/gif", ".svg": "image/svg+xml"}
HTML = {
    Code: Markup("<code>{}</code>"),
    Bold: Markup("<b>{}</b>"),
    Small: Markup("<small>{}</small>"),
    Interval: Markup('<span class="interval">{}</span>'),
    Badge: Markup('<span class="badge {css_class}">{}</span>'),
}
# Characters that Markdown, its extensions (tables, strikethrough, formulas) or HTML give a meaning.
SPECIAL = re.compile(r"([\\`*_{}\[\]#|~$])")
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
LINE_START = re.compile(r"^(\d*)([-+=.)])(?=[-=\s]|$)")  # would begin a list, or be a rule
LinkFigure = Callable[[Figure], str]


def render_html(report: Report) -> str:
    """The report as one HTML page that needs no other file and no network."""
    return render_template("templates/page.html", report=report) + "\n"


def render_template(name: str, **values: Any) -> str:
    """A template of this package; every value in it is escaped unless it is `Markup`."""
    return _environment().get_template(name).render(**values)


def read_asset(name: str) -> Markup:
    """A file of this package that becomes part of the page: css, js."""
    return Markup((FOLDER / name).read_text(encoding="utf-8"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"inline": _inline_html, "plain": lambda text: "".join(pieces(text))}
    environment.tests["block"] = lambda block, kind: type(block).__name__ == kind
    environment.globals |= {"read_asset": read_asset, "embed": _embed, "unescaped": Markup}
    return environment


def _inline_html(text: Text) -> Markup:
    return Markup("").join(_inline_piece(one) for one in pieces(text))


def _inline_piece(piece: str) -> Markup:
    return HTML.get(type(piece), Markup("{}")).format(piece, css_class=css_class(piece))


def _embed(figure: Figure) -> Markup:
    """The address of an image inside the page."""
    suffix, content = next(iter(figure.files.items()))
    return Markup(f"data:{MIME[suffix]};base64,{base64.b64encode(content).decode()}")


def render_markdown(report: Report, link_figure: LinkFigure) -> str:
    """The report as Markdown with tables.

    Args:
        report: what to write.
        link_figure: figure -> its address, relative to the Markdown file.
    """
    parts = [f"# {_line(report.heading)}"]
    for section in report.sections:
        texts = [_block(block, link_figure, 3) for block in section.blocks]
        if any(texts):
            parts += [f"## {_line(section.title)}", *filter(None, texts)]
    return "\n\n".join(parts) + "\n"


def _block(block: Block, link_figure: LinkFigure, level: int) -> str:
    match block:
        case Paragraph():
            return "> " * block.style.startswith("note") + _line(block.text)
        case Heading():
            return f"{'#' * level} {_line(block.text)}"
        case Table():
            caption = f"{_line(block.caption)}\n\n" if block.caption else ""
            return caption + _table(block)
        case KeyNumbers():
            return "\n".join(f"- {_inline(name)}: {_inline(value)}" for name, value in block.items)
        case Figures():
            return "\n\n".join(_figure(one, link_figure(one)) for one in block.members)
        case Preformatted():
            fence = "`" * max(3, _longest_run(block.text) + 1)
            return f"{fence}\n{block.text.rstrip()}\n{fence}"
        case Details(in_markdown=True):
            inner = [_block(one, link_figure, level + 1) for one in block.blocks]
            return "\n\n".join([f"{'#' * level} {_line(block.title)}", *filter(None, inner)])
        case Details() | RawHTML():
            return ""


def _table(table: Table) -> str:
    head = [_inline(cell) for cell in table.head]
    lines = [head, ["---"] * len(head), *([_inline(c, True) for c in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figure(figure: Figure, address: str) -> str:
    caption = f"**{_inline(figure.title)}.** {_inline(figure.sentence)}".rstrip()
    return f"![{_inline(figure.alt)}]({quote(address)})\n\n{caption}"


def _line(text: Text) -> str:
    """Text at the start of a line."""
    return LINE_START.sub(r"\1\\\2", _inline(text))


def _inline(text: Text, in_table: bool = False) -> str:
    return "".join(_piece(piece, in_table) for piece in pieces(text))


def _piece(piece: str, in_table: bool) -> str:
    if isinstance(piece, Code):
        content = " ".join(piece.split())
        fence = "`" * (_longest_run(content) + 1)
        space = " " if content.startswith("`") or content.endswith("`") or not content else ""
        code = f"{fence}{space}{content}{space}{fence}"
        return code.replace("|", "\\|") if in_table else code
    return f"**{_escape(piece)}**" if isinstance(piece, Bold) else _escape(piece)


def _longest_run(text: str) -> int:
    """The length of the longest run of backticks, which a fence must exceed."""
    return max(map(len, re.findall("`+", text)), default=0)


def _escape(text: str) -> str:
    """Plain text as Markdown, on one line."""
    escaped = SPECIAL.sub(r"\\\1", re.sub(r"\s+", " ", text))
    return re.sub("[&<>]", lambda found: ENTITIES[found[0]], escaped)
