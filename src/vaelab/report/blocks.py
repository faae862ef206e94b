"""What a report is made of: text and blocks, which `render` writes as HTML and as Markdown.

A `str` is plain text and is escaped in both; what looks different is one of its subclasses here,
and a text of several pieces is a tuple of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


class Code(str):
    """Literal text in a fixed-width font, such as a name, a command or an error."""


class Bold(str):
    """Text that stands out."""


class Small(str):
    """Text beside more important text, such as a unit."""


class Interval(str):
    """The interval of a number before it; never broken into two lines."""


class Badge(str):
    """The state of a run, in its colour."""


def css_class(state: str) -> str:
    """The class by which page.css knows a state, which may have several words: out-of-time."""
    return state.replace(" ", "-")


Text = str | tuple[str, ...]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `style` is "", "small" or "note", and a note may name a state: "note failed"."""

    text: Text
    style: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: Text


@dataclass(frozen=True)
class Table:
    """A table; the first text of a row names the row."""

    head: Sequence[Text]
    rows: Sequence[Sequence[Text]]
    caption: Text = ""


@dataclass(frozen=True)
class KeyNumbers:
    """(name, value) of the numbers that a reader looks for first."""

    items: Sequence[tuple[Text, Text]]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: of its files, without suffix.
        files: suffix -> bytes; the page shows the first, Markdown ".png" where there is one.
        title: shown below the figure, before `sentence`.
        sentence: what to look for.
        alt: what the figure shows, for readers who cannot see it.
        source: a file that holds it already, to which Markdown links.
    """

    name: str
    files: Mapping[str, bytes]
    title: str
    sentence: str
    alt: str
    source: Path | None = None


@dataclass(frozen=True)
class Figures:
    """Figures together; `layout` is "gallery", "curves", "pair" or "across", as in page.css."""

    members: Sequence[Figure]
    layout: str = "pair"


@dataclass(frozen=True)
class Preformatted:
    """Lines as they are, such as those of a file."""

    text: str


@dataclass(frozen=True)
class Details:
    """Blocks that the page hides until their title is clicked; in Markdown a heading above them."""

    title: Text
    blocks: Sequence["Block"]
    in_markdown: bool = True


@dataclass(frozen=True)
class RawHTML:
    """HTML that is not escaped, and that Markdown leaves out: the latent explorer."""

    html: str


Block = Paragraph | Heading | Table | KeyNumbers | Figures | Preformatted | Details | RawHTML


@dataclass(frozen=True)
class Section:
    """Blocks under a title; left out where there are none."""

    title: str
    anchor: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Report:
    """A whole report: the title of the page, the heading at its top, and the sections."""

    title: str
    heading: Text
    sections: Sequence[Section] = field(default_factory=list)

    def figures(self) -> Iterator[Figure]:
        """All figures, in order."""
        for section in self.sections:
            yield from _find_figures(section.blocks)


def _find_figures(blocks: Iterable[Block]) -> Iterator[Figure]:
    for block in blocks:
        if isinstance(block, Figures):
            yield from block.members
        elif isinstance(block, Details):
            yield from _find_figures(block.blocks)


def pieces(text: Text) -> tuple[str, ...]:
    """A text as a tuple of its pieces."""
    return (text,) if isinstance(text, str) else text


def join(separator: str, texts: Iterable[Text]) -> tuple[str, ...]:
    """Texts with a separator between them."""
    joined: tuple[str, ...] = ()
    for i, text in enumerate(texts):
        joined += ((separator,) if i else ()) + pieces(text)
    return joined


def list_names(names: Sequence[str], most: int = 3) -> tuple[str, ...]:
    """A few names as code, then how many more there are."""
    rest = (f" and {len(names) - most:,} more",) if len(names) > most else ()
    return join(", ", map(Code, names[:most])) + rest
