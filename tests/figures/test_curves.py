"""Curves have the values given, and names that don't cover each other."""

import numpy as np
import pytest

from vaelab import figures
from vaelab.figures.curves import GREY, NUM_NAMED, spread_out


def test_curves_show_their_values_and_names(words):
    series = {"train": ([1, 2, 3], [5.0, 4.0, 3.0]), "val": ([1, 3], [6.0, 2.0])}
    axes = figures.plot_curves(series, "loss (nats)").axes[0]
    for line, (steps, values) in zip(axes.lines, series.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), steps)
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert sorted(words(axes.texts)) == ["train", "val"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training step", "loss (nats)")
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 2


def test_the_largest_latents_are_named_and_the_others_grey(words):
    kl = np.array([[0.1] * 12, np.arange(12.0)])
    axes = figures.plot_latent_kl([10, 20], kl, [f"z{i}" for i in range(12)]).axes[0]
    named = [f"z{i}" for i in range(11, 11 - NUM_NAMED, -1)]
    assert set(words(axes.texts)) == {*named, f"{12 - NUM_NAMED} others"}
    grey = [line for line in axes.lines if line.get_color() == GREY]
    assert sorted(line.get_ydata()[-1] for line in grey) == list(range(12 - NUM_NAMED))
    colours = {t.get_text(): t.get_color() for t in axes.texts}
    for line in axes.lines:
        if line.get_color() != GREY:
            assert colours[f"z{int(line.get_ydata()[-1])}"] == line.get_color()


def test_few_latents_are_all_named(words):
    axes = figures.plot_latent_kl([10], [[1.0, 2.0]], ["a", "b"]).axes[0]
    assert sorted(words(axes.texts)) == ["a", "b"]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([0.0, 5.0], [0.0, 5.0]),  # far apart: as they are
        ([0.0, 0.0, 0.0], [0.0, 1.0, 2.0]),
        ([9.9, 9.9], [9.0, 10.0]),  # no room above
        ([], []),
    ],
)
def test_names_are_spread_as_little_as_it_takes(places, expected):
    assert spread_out(places, 1.0, 10.0) == pytest.approx(expected)


def test_spread_names_keep_their_order_and_distance():
    places = np.sort(np.random.default_rng(0).uniform(0, 10, 9))
    moved = np.array(spread_out(list(places), 1.0, 10.0))
    assert (np.diff(moved) >= 1.0 - 1e-12).all()
    assert moved[-1] <= 10
