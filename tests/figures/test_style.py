"""Captions wrap at the width of the figure."""

import itertools

import pytest

from vaelab.figures.style import CLASS_COLOURS, LINE_COLOURS, text_width, wrap_text

TEXT = "one latent per row, set to the value below, the others at the posterior mean"


@pytest.mark.parametrize("inches", [0.8, 1.5, 3.5])
def test_lines_fit_keep_all_words_and_take_what_fits(inches):
    lines = wrap_text(TEXT, inches)
    assert " ".join(lines) == TEXT
    assert all(text_width(line) <= inches for line in lines)
    for line, following in itertools.pairwise(lines):
        assert text_width(f"{line} {following.split()[0]}") > inches


def test_a_word_too_long_has_its_own_line():
    assert wrap_text("a incomprehensibilities b", 0.3) == ["a", "incomprehensibilities", "b"]
    assert wrap_text("", 1) == []


def test_width_is_that_of_the_letters():
    assert text_width("mmm") == pytest.approx(3 * text_width("m"), rel=0.05)
    assert text_width("i") < text_width("m") < text_width("m", size=14)


@pytest.mark.parametrize("colours", [CLASS_COLOURS, LINE_COLOURS])
def test_colours_are_distinct(colours):
    assert len(set(colours)) == len(colours)
