"""Figures of classifiers show the numbers they are given, where they are."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from scipy.stats import norm

from vaelab import figures
from vaelab.figures.classification import OTHER, OWN

X = np.linspace(-6, 6, 1201)


def heights(axes):
    return [bar.get_height() + bar.get_y() for bar in axes.patches]


def test_errors_are_percent_over_the_logarithm_of_labels(words):
    x = np.array([20.0, 100, 1000, 3000])
    lines = [
        figures.Line("logistic", x, np.array([0.5, 0.3, 0.2, 0.1]), 0 * x, 0 * x + 0.6),
        figures.Line("mixture", x, np.array([0.4, 0.2, 0.15, 0.12]), 0 * x, 0 * x + 0.6),
    ]
    figure = figures.plot_error_by_labels(lines)
    [axes] = figure.axes
    assert axes.get_xscale() == "log"
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(drawn["mixture"], [40, 20, 15, 12])
    # The lines cross between 1,000 and 3,000 labels.
    assert list(np.sign(drawn["mixture"] - drawn["logistic"])) == [-1, -1, -1, 1]
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0, 60)
    figure.canvas.draw()
    assert words(axes.get_xticklabels()) == ["100", "1,000"]
    assert axes.get_ylabel() == "test error (%)"
    [axes] = figures.plot_error_by_labels(lines, images="validation").axes
    assert axes.get_ylabel() == "validation error (%)"


def test_bars_end_at_the_bounds_and_the_own_class_is_bold(words):
    bounds = {"ELBO": [-90.0, -95.0, -99.0], "exact": [-88.0, -94.0, -98.5]}
    image = torch.zeros(1, 4, 4)
    _, axes = figures.plot_class_log_likelihoods(image, bounds, ["a", "b", "c"], 1).axes
    np.testing.assert_allclose(heights(axes), [*bounds["ELBO"], *bounds["exact"]])
    assert words(axes.get_xticklabels()) == ["a", "b", "c"]
    weights = [label.get_fontweight() for label in axes.get_xticklabels()]
    assert [weight == "bold" for weight in weights] == [False, True, False]


@pytest.mark.parametrize(("prior", "distance"), [((0.5, 0.5), 2.0), ((0.8, 0.2), 3.0)])
def test_boundary_is_where_densities_are_equal_and_the_hatched_area_is_the_error(prior, distance):
    means = (-distance / 2, distance / 2)
    joint = {f"{c}": p * norm.pdf(X, m) for c, (p, m) in enumerate(zip(prior, means, strict=True))}
    [axes] = figures.plot_joint_densities(X, joint).axes
    boundary = np.log(prior[0] / prior[1]) / distance
    [line] = [line for line in axes.lines if len(line.get_xdata()) == 2]
    assert line.get_xdata() == pytest.approx([boundary] * 2, abs=1e-4)
    area = sum(
        abs(np.trapezoid(path.vertices[:, 1], path.vertices[:, 0]))
        for collection in axes.collections
        for path in collection.get_paths()
    )
    error = prior[0] * norm.sf(boundary - means[0]) + prior[1] * norm.cdf(boundary - means[1])
    assert area == pytest.approx(error, abs=2e-3)  # a grid of .01


def test_decisions_are_written_in_their_regions(words):
    joint = {name: norm.pdf(X, mean) for name, mean in (("left", -2), ("right", 2))}
    [axes] = figures.plot_joint_densities(X, joint).axes
    assert words(axes.texts) == ["decide left", "decide right"]
    assert [text.get_position()[0] for text in axes.texts] == pytest.approx([-3, 3], abs=1e-6)
    [axes] = figures.plot_joint_densities(X, joint, boundary_names=False).axes
    assert words(axes.texts) == []


def test_reliability_has_points_and_counts_of_bins():
    bins = ([0.5, 0.8], [0.4, 0.9], [30, 70], [[0.25, 0.8], [0.6, 0.95]])
    axes, below = figures.plot_reliability({"mixture": bins}).axes
    [points] = [line for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points.get_xydata(), np.transpose(bins[:2]))
    segments = below.collections[0].get_segments()
    np.testing.assert_allclose([segment[1] for segment in segments], [[0.5, 30], [0.8, 70]])
    [bars] = [one.get_segments() for one in axes.collections]
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [[0.25, 0.6], [0.8, 0.95]])


def test_the_own_class_of_a_doubtful_image_has_its_colour():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.45, 0.45]])
    images = torch.rand(2, 1, 4, 4)
    figure = figures.plot_doubtful_images(images, probabilities, [1, 2], list("abc"))
    bars = [axes for axes in figure.axes if axes.patches]
    assert len(bars) == 2
    for axes, row, label in zip(bars, probabilities, (1, 2), strict=True):
        np.testing.assert_allclose(heights(axes), row)
        colours = [to_hex(bar.get_facecolor()).upper() for bar in axes.patches]
        assert colours == [OWN if c == label else OTHER for c in range(3)]


def test_long_names_of_errors_are_below_each_other():
    x = np.array([100.0, 1000])
    names = ("Bayes error (num steps 300, M2)", "discriminative error (num steps 300, M2)", "a")
    figure = figures.plot_error_by_labels([figures.Line(name, x, x, x, x) for name in names])
    figure.draw_without_rendering()  # which lays the axes out
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert figure.axes[0].bbox.y1 <= box.y0 + 1
    assert box.y1 <= figure.bbox.y1
