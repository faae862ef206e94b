"""Figures: exact pixels of the grids, and a caption everywhere."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from vaelab import figures
from vaelab.figures import CLASS_COLOURS, PAD, image_grid

CAPTION = "step 10: what is shown"
VALUES = [-2.0, 0.0, 2.0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("num", "num_columns"), [(6, 3), (5, 3), (1, 1), (2, 4)])
def test_grid_places_every_pixel_exactly_and_the_rest_is_white(channels, num, num_columns):
    images = torch.rand(num, channels, 4, 5)
    grid = image_grid(images, num_columns)
    num_rows = -(-num // num_columns)
    assert grid.shape == (num_rows * 4 + (num_rows - 1) * PAD, num_columns * (5 + PAD) - PAD, 3)
    seen = np.zeros(grid.shape[:2], bool)
    for i in range(num):
        top, left = i // num_columns * (4 + PAD), i % num_columns * (5 + PAD)
        block = grid[top : top + 4, left : left + 5]
        expected = images[i].expand(3, 4, 5).permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(block, expected.astype(block.dtype))
        seen[top : top + 4, left : left + 5] = True
    assert (grid[~seen] == 1).all()


def test_grid_clips_to_what_can_be_shown():
    images = torch.tensor([-1.0, 0.25, 2.0]).view(1, 1, 1, 3)
    assert image_grid(images, 1)[0, :, 0].tolist() == [0, 0.25, 1]


def test_grid_takes_half_precision_and_gradients():
    images = torch.rand(2, 1, 3, 3, dtype=torch.bfloat16, requires_grad=True)
    assert image_grid(images, 2).shape == (3, 6 + PAD, 3)


def grey(*shape):
    return torch.rand(*shape, 1, 6, 6)


FIGURES = {
    "reconstructions": lambda: figures.reconstructions(grey(4), grey(4), CAPTION),
    "samples": lambda: figures.samples(grey(7), 3, CAPTION),
    "samples in colour": lambda: figures.samples(torch.rand(4, 3, 6, 8), 2, CAPTION),
    "traversals": lambda: figures.traversals(grey(2, 3), ["z 1", "z 0"], VALUES, CAPTION),
    "manifold": lambda: figures.manifold(grey(3, 3), VALUES, CAPTION),
    "scatter": lambda: figures.latent_scatter(torch.randn(9, 2), None, caption=CAPTION),
    "scatter of classes": lambda: figures.latent_scatter(
        torch.randn(9, 2), torch.arange(9) % 3, "digit", CAPTION
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_its_caption_and_becomes_a_readable_png(name, tmp_path):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_title(loc="left") == CAPTION
    path = tmp_path / "figures" / "figure.png"
    figures.save_png(figure, path, dpi=40)
    with Image.open(path) as image:
        assert image.format == "PNG"
        image.load()
        assert min(image.size) > 20
        assert len(np.unique(np.asarray(image))) > 2
    assert [entry.name for entry in path.parent.iterdir()] == ["figure.png"]


def shown(figure):
    return figure.axes[0].get_images()[0].get_array()


def texts(labels):
    return [label.get_text() for label in labels]


def test_reconstructions_stand_under_their_data():
    x, x_hat = grey(3), grey(3)
    figure = figures.reconstructions(x, x_hat)
    np.testing.assert_array_equal(shown(figure), image_grid(torch.cat([x, x_hat]), 3))
    assert texts(figure.axes[0].get_yticklabels()) == ["data", "mean of p(x|z)"]


def test_traversals_name_their_rows_and_columns():
    images = grey(2, 3)
    figure = figures.traversals(images, ["z 1", "z 0"], VALUES)
    np.testing.assert_array_equal(shown(figure), image_grid(images.flatten(0, 1), 3))
    assert texts(figure.axes[0].get_yticklabels()) == ["z 1", "z 0"]
    assert texts(figure.axes[0].get_xticklabels()) == ["-2", "0", "+2"]


def test_manifold_puts_the_smallest_second_latent_at_the_bottom():
    images = grey(3, 3)
    figure = figures.manifold(images, VALUES)
    bottom_left = shown(figure)[-6:, :6, 0]
    np.testing.assert_array_equal(bottom_left, images[0, 0, 0].numpy())
    ticks = figure.axes[0].get_yticks()
    assert texts(figure.axes[0].get_yticklabels()) == ["-2.00", "0.00", "2.00"]
    assert ticks[0] > ticks[1] > ticks[2]  # image rows count downwards


def test_scatter_has_a_legend_of_its_classes_and_a_point_for_each_code():
    z, labels = torch.randn(30, 2), torch.arange(30) % 3
    axes = figures.latent_scatter(z, labels, "digit").axes[0]
    assert texts(axes.get_legend().get_texts()) == ["0", "1", "2"]
    assert axes.get_legend().get_title().get_text() == "digit"
    for label, points in enumerate(axes.collections):
        np.testing.assert_allclose(points.get_offsets(), z[labels == label].numpy())


@pytest.mark.parametrize("labels", [None, torch.arange(30) % (len(CLASS_COLOURS) + 1)])
def test_scatter_of_no_or_too_many_classes_has_one_colour_and_no_legend(labels):
    axes = figures.latent_scatter(torch.randn(30, 2), labels).axes[0]
    assert axes.get_legend() is None
    assert len(axes.collections) == 1
    assert len(axes.collections[0].get_offsets()) == 30


def test_array_has_the_pixels_of_the_figure():
    figure = Figure(figsize=(2, 1))
    figure.set_facecolor("#FF8000")
    array = figures.to_array(figure, dpi=50)
    assert (array.shape, array.dtype) == ((50, 100, 3), np.uint8)
    assert (array == [255, 128, 0]).all()
