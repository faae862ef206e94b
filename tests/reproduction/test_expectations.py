"""Every expected number has a range and a source that says what it is."""

import math

import pytest

from vaelab.errors import UserError
from vaelab.reproduction.expectations import KINDS, Source, count_kinds, read_expectations
from vaelab.reproduction.targets import read_targets

PAPER = {"kind": "published", "title": "A 2020", "place": "table 1", "link": "https://a.org"}
GUESS = {"kind": "estimate", "reason": "a guess"}
ROW = {"number": "x", "value": 1, "tolerance": 0.5, "source": "a"}


def read(row=ROW, sources=None):
    return read_expectations({"sources": {"a": PAPER} if sources is None else sources,
                              "expected": [row]})  # fmt: skip


def test_rows_name_their_sources():
    rows = [ROW, {"number": "y", "minus": "x", "above": 0, "source": "b"}]
    one, other = read_expectations({"sources": {"a": PAPER, "b": GUESS}, "expected": rows})
    assert (one.name, one.low, one.high) == ("x", 0.5, 1.5)
    assert one.source == Source("a", "published", "A 2020", "table 1", "https://a.org")
    assert one.source.decides
    assert (other.name, other.high) == ("y - x", math.inf)
    assert not other.source.decides
    assert count_kinds([one.source, other.source, one.source]) == "2 published, 1 estimate"


def test_name_has_the_step():
    assert read(ROW | {"step": 469})[0].name == "x at step 469"


def test_citation_has_all_that_is_known():
    source = read(sources={"a": PAPER | {"reason": "half of it"}})[0].source
    assert source.citation == "A 2020, table 1, https://a.org; half of it"
    assert Source("b", **GUESS).citation == "a guess"


def test_estimates_alone_do_not_decide():
    assert [kind for kind in KINDS if not Source("a", kind).decides] == ["estimate"]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"number": "x", "value": 1, "tolerance": 0}, "a source for x, got None; name one of "),
        (ROW | {"source": "b"}, r"a source for x, got 'b'; name one of target.sources \(a\)"),
        ({"number": "x", "source": "a"}, "expects value and tolerance, or some of at_least, "),
        ({"number": "x", "value": 1, "source": "a"}, "expects value and tolerance"),
        ({"number": "x", "at_lest": 2, "source": "a"}, "got 'at_lest'; did you mean at_least?"),
    ],
)
def test_row_that_lacks_something_is_rejected(row, sentence):
    with pytest.raises(UserError, match=sentence):
        read(row)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({"reason": "x"}, "target.sources.a.kind expects one of derived, measured elsewhere, "),
        ({"kind": "memory"}, "target.sources.a.kind expects one of .* got 'memory'"),
        ({"kind": "estimate"}, "target.sources.a expects reason of what is estimate, got no reas"),
        ({"kind": "derived", "link": "https://a.org"}, "expects reason of what is derived"),
        (PAPER | {"link": ""}, "expects title, place, link of what is published, got no link"),
        (
            {"kind": "measured elsewhere", "title": "A"},
            "link of what is measured elsewhere, got no place and no link; add it, or make it an",
        ),
        (PAPER | {"url": "x"}, "target.sources.a expects one of kind, .* got 'url'"),
    ],
)
def test_source_that_lacks_something_is_rejected(source, sentence):
    with pytest.raises(UserError, match=sentence):
        read(sources={"a": source})


def test_target_without_numbers_is_rejected():
    with pytest.raises(UserError, match=r"target\.expected expects at least one row, got none"):
        read_expectations({"measure": "x"})


def test_file_with_a_number_without_a_source_is_named(tmp_path):
    file = tmp_path / "x1.yaml"
    file.write_text("# X1: n.\ntarget: {scale: cpu, expected: [{number: x, above: 0}]}\n")
    with pytest.raises(UserError, match=r"x1.yaml: target.expected expects a source for x, got No"):
        read_targets(tmp_path)
