"""Figures of many runs: positions of lines, bands, dots, bars and labels."""

import numpy as np
import pytest

from vaelab import figures
from vaelab.figures.metric_vs_setting import is_logarithmic

X = np.array([1.0, 4.0, 16.0])


def test_lines_bands_and_dots_are_where_the_numbers_are():
    line = figures.Line("beta-VAE", X, X + 1, X, X + 3)
    figure = figures.plot_metric_vs_setting(
        "beta", [figures.Panel("MIG", [line], [np.stack([X, X + 2], 1)])]
    )
    axes = figure.axes[0]
    (drawn,) = axes.lines
    assert drawn.get_xydata().tolist() == np.stack([X, X + 1], 1).tolist()
    dots, band = axes.collections
    assert dots.get_offsets().tolist() == np.stack([X, X + 2], 1).tolist()
    corners = band.get_paths()[0].vertices
    assert {(1, 1), (1, 4), (16, 16), (16, 19)} <= set(map(tuple, corners))
    assert axes.get_xscale() == "log"
    assert axes.get_xticks().tolist() == [1, 4, 16]


@pytest.mark.parametrize(
    ("values", "answer"),
    [([1, 10], True), ([1, 9.9], False), ([0, 100], False), ([-1, 100], False), ([], False)],
)
def test_tenfold_positive_values_are_logarithmic(values, answer):
    assert is_logarithmic(np.array(values, float)) is answer


def test_lines_of_equal_elbo_have_slope_minus_one_and_their_name():
    curve = figures.RateDistortionCurve(
        "", np.array([80.0, 100.0]), np.array([20.0, 5.0]), ["beta 1", "beta 4"]
    )
    axes = figures.plot_rate_distortion([curve], np.zeros((0, 2))).axes[0]
    equal = [line.get_xydata() for line in axes.lines[1:]]
    names = [text.get_text() for text in axes.texts]
    costs = [ends.sum(1) for ends in equal]
    assert len(equal) > 1
    assert all(cost[0] == pytest.approx(cost[1]) for cost in costs)
    numbers = [
        float(name.removeprefix("ELBO ").replace("\u2212", "-")) for name in names[: len(equal)]
    ]
    assert numbers == pytest.approx([-cost[0] for cost in costs])
    assert names[len(equal) :] == ["beta 1", "beta 4"]


def test_labels_that_would_cover_each_other_are_left_out():
    cost, kl = np.array([80.0, 80.01, 100.0]), np.array([20.0, 20.01, 5.0])
    axes = figures.plot_rate_distortion(
        [figures.RateDistortionCurve("", cost, kl, ["first", "on it", "far"])], np.zeros((0, 2))
    ).axes[0]
    assert [t.get_text() for t in axes.texts if t.get_text()[0] in "fo"] == ["first", "far"]


def test_bars_fill_the_whole_and_estimates_below_zero_have_no_width():
    figure = figures.plot_variance_bars(["MIG"], {"beta": [0.25], "model": [-0.1], "seed": [0.75]})
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == pytest.approx([0.25, 0, 0.75])
    figure = figures.plot_variance_bars(["MIG"], {"beta": [-0.5], "seed": [1.5]})
    assert [bar.get_width() for bar in figure.axes[0].patches] == pytest.approx([0, 1])


def test_what_has_no_correlation_stays_empty():
    rho = np.array([[1, np.nan], [np.nan, 1]])
    axes = figures.plot_rank_correlation(rho, ["a", "b"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["1.00", "1.00"]
