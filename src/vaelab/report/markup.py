"""HTML as text, escaped where it came from outside."""

import base64
import html
import math
from collections.abc import Sequence
from pathlib import Path

MINUS, ABSENT = "\u2212", "\u2013"  # what typesetters use for both
MIME = {".png": "image/png", ".gif": "image/gif", ".svg": "image/svg+xml"}


def escape(value: object) -> str:
    """Text that stands for itself in HTML, in attributes too."""
    return html.escape(str(value))


def number(value: float | None, digits: int = 4) -> str:
    """A number for reading: `digits` significant ones, thousands apart, a real minus sign."""
    if value is None:
        return ABSENT
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        text = f"{value:,.0f}"
    elif 1e-3 <= abs(value) < 1e6:
        rounded = float(f"{abs(value):.{digits - 1}e}")  # 0.99999 has the digits of 1
        decimals = max(0, digits - 1 - math.floor(math.log10(rounded)))
        text = f"{value:,.{decimals}f}"
    else:
        text = f"{value:.{digits - 1}g}"
    return text.replace("-", MINUS)


def duration(seconds: float) -> str:
    """Seconds as a reader says them: 45 s, 8 min 17 s, 3 h 5 min."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{seconds:.3g} s"


def interval(value: float | None, bounds: Sequence[float] | None) -> str:
    """A number with its interval behind it: 0.12 [0.10, 0.14]."""
    if not bounds:
        return number(value, 3)
    low, high = (number(bound, 3) for bound in bounds)
    return f'{number(value, 3)} <span class="interval">[{low}, {high}]</span>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table of cells that are HTML already; the first of a row names it."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(map(_cell, rest))}</tr>' for first, *rest in rows
    )
    title = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{title}<thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(content: str) -> str:
    """A table's cell; short ones, such as a duration, stay on one line."""
    return f'<td class="short">{content}</td>' if len(content) < 16 else f"<td>{content}</td>"


def section(title: str, body: str, anchor: str) -> str:
    """A section with a heading, or nothing where it has no body."""
    return f'<section id="{anchor}"><h2>{title}</h2>{body}</section>' if body else ""


def details(summary: str, body: str, opened: bool = False) -> str:
    """A part that opens by a click."""
    attribute = " open" if opened else ""
    return f"<details{attribute}><summary>{summary}</summary>{body}</details>"


def data_uri(content: bytes, suffix: str) -> str:
    """A picture inside the page."""
    return f"data:{MIME[suffix]};base64,{base64.b64encode(content).decode()}"


def picture(content: bytes, suffix: str, alt: str, title: str, sentence: str = "") -> str:
    """A figure with its title and a sentence under it."""
    caption = f"<b>{escape(title)}.</b> {escape(sentence)}".strip()
    uri = data_uri(content, suffix)
    return (
        f'<figure class="paper"><img src="{uri}" alt="{escape(alt)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def own_text(name: str) -> str:
    """A file of this package that goes into the page: css, js."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
