"""Fits are drawn where they are, in the colour of their name, with their notes."""

import numpy as np
import pytest

from vaelab import figures

X = np.linspace(-4, 4, 81)


def bell(x, mean, std):
    return np.exp(-0.5 * ((x - mean) / std) ** 2) / std


def test_curves_and_notes_of_a_fit_share_its_colour():
    names = ("forward fit", "reverse fit")
    panels = [
        figures.FitPanel("a", bell(X, 0, 1), {names[0]: bell(X, 1, 2)}, {names[0]: "KL 0.7"}),
        figures.FitPanel("b", bell(X, 0, 1), {names[1]: bell(X, 2, 1)}, {names[1]: "KL 0.3"}),
    ]
    first, second = figures.plot_density_fits(X, panels).axes
    for axes, name, peak, note in ((first, names[0], 1, "KL 0.7"), (second, names[1], 2, "KL 0.3")):
        [curve] = [line for line in axes.lines if line.get_label() == name]
        assert X[np.argmax(curve.get_ydata())] == pytest.approx(peak)
        [text] = [text for text in axes.texts if text.get_text() == note]
        assert text.get_color() == curve.get_color()
    assert first.lines[-1].get_color() != second.lines[-1].get_color()


def test_contours_are_at_one_and_two_deviations():
    x, y = np.linspace(-5, 5, 201), np.linspace(-4, 4, 161)
    plane = bell(x[None, :], 1, 1) * bell(y[:, None], 0, 0.5)
    panel = figures.FitPanel("", plane, {"q": plane}, {})
    [axes] = figures.plot_contour_fits(x, y, [panel]).axes
    outer, inner = axes.collections[-1].get_paths()
    assert outer.vertices[:, 0].max() == pytest.approx(3, abs=0.01)
    assert outer.vertices[:, 1].max() == pytest.approx(1, abs=0.01)
    assert inner.vertices[:, 0].max() == pytest.approx(2, abs=0.01)


def test_minima_are_marked_with_their_values(words):
    axes, _ = figures.plot_divergence_landscape(
        X, bell(X, 0, 1), {"reverse": (X - 1) ** 2 + 0.5}, {"reverse": [(1.0, 0.5)]}
    ).axes
    assert words(axes.texts) == ["0.500"]
    [marked] = [line for line in axes.lines if line.get_marker() == "o"]
    assert (*marked.get_xdata(), *marked.get_ydata()) == (1.0, 0.5)
