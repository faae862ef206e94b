"""The field's words: forms that nobody outside this project would say stay out."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORMS = {
    "a row a latent": r"\ba (row|file|sample|job|process|line|factor|image) a \w+",
    "go on with": r"\b(go|goes|going|gone|went) on with\b",
    "but for": r"\bbut for\b",
    "told from, tells of": r"\btold (from|apart)\b|\btells? (of|from)\b",
    "lies in": r"\b(data|it|run|file|folder)s? (lies|lie) (in|at|there)\b",
    "judge": r"\bjudg(e|es|ed|ing)\b",
    "anew": r"\banew\b",
    "of theirs": r"\bof (theirs|ours)\b",
    "for want of": r"\bfor want of\b|\bas yet\b|\bby heart\b",
    "mend": r"\bmend(s|ed|ing)?\b",
    "what became of": r"\b(became|become) of\b",
    "picture": r"\bpictures?\b",
    "refuse": r"\brefus(e|es|ed|al|als|ing)\b",
    "Probe, Population, schedule=": r"\bProbe\b|\bPopulation\b|\bschedule=",
}
FILES = [
    *(p for folder in ("src", "conf", "docs", "scripts") for p in (ROOT / folder).rglob("*")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile")),
]
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in FILES
    if path.is_file() and path.suffix in ("", ".py", ".yaml", ".md", ".html", ".js")
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_that_stay_out(form):
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in TEXTS.items()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(FORMS[form], line)
    ]
    assert found == []
