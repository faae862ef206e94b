"""One point per code, coloured by label or factor."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from vaelab import figures
from vaelab.figures import CLASS_COLOURS
from vaelab.figures.scatter import separate

NUM = 30
Z = torch.randn(NUM, 2, generator=torch.Generator().manual_seed(0))


def points(axes):
    (collection,) = axes.collections
    np.testing.assert_array_equal(collection.get_offsets(), Z.numpy())
    return collection


def test_classes_have_a_legend_and_a_colour_each(words):
    labels = torch.arange(NUM) % 3
    axes = figures.plot_latent_scatter(Z, labels, "digit").axes[0]
    assert words(axes.get_legend().get_texts()) == ["0", "1", "2"]
    assert axes.get_legend().get_title().get_text() == "digit"
    colours = [to_hex(colour).upper() for colour in points(axes).get_facecolors()]
    assert colours == [CLASS_COLOURS[label] for label in labels]


def test_classes_are_named_in_the_middle_of_their_points():
    labels = torch.tensor([4] * 15 + [7] * 15)
    axes = figures.plot_latent_scatter(Z, labels).axes[0]
    for text, part in zip(axes.texts, (Z[:15], Z[15:]), strict=True):
        np.testing.assert_allclose(text.get_position(), np.median(part.numpy(), axis=0))
    assert [text.get_text() for text in axes.texts] == ["4", "7"]


@pytest.mark.parametrize("labels", [None, torch.arange(NUM) % (len(CLASS_COLOURS) + 1)])
def test_no_or_too_many_classes_have_one_colour_and_no_legend(labels):
    axes = figures.plot_latent_scatter(Z, labels).axes[0]
    assert axes.get_legend() is None
    assert len(points(axes).get_facecolors()) == 1


def test_a_quantity_has_a_colour_bar():
    axes, bar = figures.plot_latent_scatter(Z, torch.arange(NUM), "scale", continuous=True).axes
    np.testing.assert_array_equal(points(axes).get_array(), np.arange(NUM))
    assert points(axes).get_cmap().name == "viridis"
    assert bar.get_ylabel() == "scale"
    assert axes.get_legend() is None


def test_both_axes_have_one_scale_and_hold_all_points():
    axes = figures.plot_latent_scatter(Z * torch.tensor([3.0, 1.0]), None).axes[0]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert right - left == pytest.approx(high - low)
    assert axes.get_box_aspect() == 1
    assert left < 3 * Z[:, 0].min() < 3 * Z[:, 0].max() < right


def test_each_factor_has_a_panel(words):
    values = {"shape": torch.arange(NUM) % 3, "posX": torch.arange(NUM), "posY": torch.ones(NUM)}
    axes = figures.plot_factor_scatters(Z, values, axis_names=("PC 1", "PC 2")).axes
    panels = [a for a in axes if a.collections and a.get_title()]
    assert [a.get_title() for a in panels] == list(values)
    for panel, column in zip(panels, values.values(), strict=True):
        numbers = np.unique(column, return_inverse=True)[1]
        ranks = np.unique(points(panel).get_array(), return_inverse=True)[1]
        np.testing.assert_array_equal(ranks, numbers)
    assert [a.get_ylabel() for a in panels] == ["PC 2", "", "PC 2"]
    assert [a.get_xlabel() for a in panels] == ["", "PC 1", "PC 1"]
    assert points(panels[0]).get_cmap().N == 3
    assert points(panels[1]).get_cmap().name == "viridis"


def test_classes_have_their_names_where_the_data_has_names(words):
    labels = torch.tensor([0] * 15 + [2] * 15)
    axes = figures.plot_latent_scatter(Z, labels, class_names=("cat", "dog", "fox")).axes[0]
    assert words(axes.get_legend().get_texts()) == words(axes.texts) == ["cat", "fox"]


def test_axes_count_latents_from_zero():
    axes = figures.plot_latent_scatter(Z, None).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("$z_0$", "$z_1$")


def test_labels_are_moved_only_where_they_would_overlap():
    sizes = np.array([[2.0, 1.0]] * 4)
    centres = np.array([[0.0, 0.0], [1.0, 0.5], [1.5, 0.6], [9.0, 0.5]])
    moved = separate(centres, sizes)
    np.testing.assert_allclose(moved, [[0, 0], [1, 1], [1.5, 2], [9, 0.5]])
    np.testing.assert_array_equal(separate(moved, sizes), moved)


def test_names_of_classes_in_one_place_are_left_to_the_legend(words):
    z = torch.zeros(60, 2)
    z[:2] = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    axes = figures.plot_latent_scatter(z, torch.arange(60) % 10).axes[0]
    assert len(words(axes.get_legend().get_texts())) == 10
    assert words(axes.texts) == ["0", "1", "2"]
