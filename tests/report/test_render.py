"""Blocks as HTML and as Markdown: the same content, and nothing from outside becomes markup."""

import html
import re

import pytest

from vaelab.report.blocks import (
    Badge,
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
    Section,
    Small,
    Table,
)
from vaelab.report.render import render_html, render_markdown

EVIL = "a|b `c` <i>\n**d** _e_ &lt; $f$ ~~g~~ ![h](i) \\ {j}"
FIGURE = Figure("f", {".png": b"\x89PNG"}, EVIL, EVIL, EVIL)
EVERY_BLOCK = [
    Paragraph((EVIL, Code(EVIL), Bold(EVIL), Small(EVIL), Interval(EVIL)), "note"),
    Heading(EVIL),
    Table((EVIL, Code(EVIL)), [(EVIL, Code(EVIL)), (Badge(EVIL), Bold(EVIL))], EVIL),
    KeyNumbers([(EVIL, EVIL)]),
    Figures([FIGURE]),
    Preformatted(EVIL),
    Details(EVIL, [Paragraph(EVIL)]),
]


def page_of(*blocks):
    return render_html(Report("t", "h", [Section("s", "s", blocks)]))


def markdown_of(*blocks):
    text = render_markdown(Report("t", "h", [Section("s", "s", blocks)]), lambda one: one.name)
    start = "# h\n\n## s\n\n"
    assert text.startswith(start) or text == "# h\n"
    return text.removeprefix(start).rstrip("\n")


@pytest.mark.parametrize("block", EVERY_BLOCK, ids=lambda block: type(block).__name__)
def test_nothing_from_outside_becomes_html(block):
    text = page_of(block)
    assert "<i>" not in text
    assert "&lt; " not in text.replace("&amp;lt; ", "")
    seen = html.unescape(re.sub("<[^>]*>", "", text))
    assert EVIL in seen or isinstance(block, Figures)
    assert html.unescape(text).count(EVIL) >= 1


def active(markdown):
    """The characters that Markdown or HTML reads as markup: neither escaped nor in code."""
    found, i = "", 0
    while i < len(markdown):
        if markdown[i] == "\\":
            i += 2
        elif markdown[i] == "`":
            fence = re.match("`+", markdown[i:])[0]
            i = re.compile(f"(?<!`){fence}(?!`)").search(markdown, i + len(fence)).end()
        else:
            found += markdown[i] if markdown[i] in "*_{}[]#|~$<>" else ""
            i += 1
    return found


OURS = (">****", "###", "|||" * 4 + "****", "", "[]****", "", "###")  # in EVERY_BLOCK


@pytest.mark.parametrize(
    ("block", "ours"),
    list(zip(EVERY_BLOCK, OURS, strict=True)),
    ids=lambda value: type(value).__name__,
)
def test_nothing_from_outside_becomes_markdown(block, ours):
    text = markdown_of(block)
    if isinstance(block, Table):
        assert [active(line) for line in text.splitlines()[2:]] == ["|||"] * 3 + ["||****|"]
    assert sorted(active(text)) == sorted(ours)
    if isinstance(block, Preformatted):
        assert text == f"```\n{EVIL}\n```"
    else:
        assert "&lt;i&gt; \\*\\*d\\*\\* \\_e\\_ &amp;lt;" in text


def test_code_is_exact_in_both():
    evil = " ".join(EVIL.split())
    assert f"<code>{html.escape(EVIL)}</code>" in page_of(Paragraph(Code(EVIL))).replace(
        "&#34;", "&quot;"
    )
    assert markdown_of(Paragraph(Code(EVIL))) == f"``{evil}``"
    row = markdown_of(Table(("run",), [(Code(EVIL),)])).splitlines()[-1]
    assert row == f"| ``{evil.replace('|', chr(92) + '|')}`` |"
    assert markdown_of(Paragraph(Code("`"))) == "`` ` ``"


def test_markdown_escapes_what_would_begin_a_list_or_a_rule():
    for text in ("- a", "+ a", "1. a", "12) a", "---", "==="):
        line = markdown_of(Paragraph(text))
        assert line.replace("\\", "") == text
        assert "\\" in line
    for text in ("1.26 of 3", "4 runs", "\u221212 nats", "z0"):
        assert markdown_of(Paragraph(text)) == text


def test_formatted_text_of_pieces_is_plain():
    """An f-string of code is no code, so that forgetting a piece loses its font and no safety."""
    assert "<code>" not in page_of(Paragraph(f"run {Code('<b>')}"))


def test_each_block_as_markdown():
    assert markdown_of(Paragraph(("4 runs: ", Bold("1 is missing")), "note failed")) == (
        "> 4 runs: **1 is missing**"
    )
    assert markdown_of(KeyNumbers([(("ELBO ", Small("nats")), "1"), ("KL", "2")])) == (
        "- ELBO nats: 1\n- KL: 2"
    )
    assert markdown_of(Table(("a", "b"), [("1", "2")], "Both.")) == (
        "Both.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"
    )
    inner = [Heading("x"), Details("inner", [Paragraph("y")])]
    assert markdown_of(Details("outer", inner)) == "### outer\n\n#### x\n\n#### inner\n\ny"
    figure = Figure("f", {".png": b""}, "Title", "What to look for.", "Alt")
    assert markdown_of(Figures([figure])) == "![Alt](f)\n\n**Title.** What to look for."
    assert markdown_of(Preformatted("a ``` b\n")) == "````\na ``` b\n````"


def test_what_needs_the_page_is_left_out_of_markdown():
    folded = Details("t", [Paragraph("x")], in_markdown=False)
    assert markdown_of(RawHTML("<p>y</p>"), folded) == "# h"
    assert "<p>y</p>" in page_of(RawHTML("<p>y</p>"), folded)


def test_sections_without_blocks_are_left_out():
    report = Report("t", "h", [Section("empty", "e", [])])
    assert "empty" not in render_html(report)
    assert "empty" not in render_markdown(report, str)


def test_addresses_of_figures_are_escaped():
    figure = Figure("a (b) <c>", {".png": b""}, "T", "", "A")
    assert markdown_of(Figures([figure])).startswith("![A](a%20%28b%29%20%3Cc%3E)")
