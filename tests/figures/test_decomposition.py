"""Bars are as long as their values, and end at the sums."""

import pytest

from vaelab import figures

PARTS = {
    "reconstruction": 80.0,
    "mutual information": 9.0,
    "total correlation": 2.0,
    "dimension-wise KL": 4.0,
}


def bars(axes):
    return [(patch.get_x(), patch.get_width()) for patch in axes.patches]


def test_parts_are_stacked_and_add_up(words):
    outer, inner = figures.plot_elbo_decomposition(PARTS).axes
    assert bars(outer) == [(0, 80.0), (80.0, 15.0)]
    assert bars(inner) == [(0, 9.0), (9.0, 2.0), (11.0, 4.0)]
    assert words(outer.get_yticklabels()) == ["\N{MINUS SIGN}ELBO\n95"]
    assert words(inner.get_yticklabels()) == ["KL\n15"]
    assert words(inner.get_legend().get_texts())[1] == "total correlation 2"


def test_negative_parts_are_left_of_zero():
    _, inner = figures.plot_elbo_decomposition(PARTS | {"total correlation": -1.5}).axes
    assert bars(inner) == [(0, 9.0), (0, -1.5), (9.0, 4.0)]


def test_parts_differ_without_colour():
    _, inner = figures.plot_elbo_decomposition(PARTS).axes
    assert len({patch.get_hatch() for patch in inner.patches}) == 3


def test_reconstruction_is_needed():
    with pytest.raises(KeyError, match="reconstruction"):
        figures.plot_elbo_decomposition({"mutual information": 1.0})
