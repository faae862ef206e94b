"""Grids: every pixel at its place, and names beside what they name."""

import numpy as np
import pytest
import torch

from vaelab import figures
from vaelab.figures import PAD, make_image_grid

VALUES = [-2.0, 0.0, 2.0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("num", "num_columns"), [(6, 3), (5, 3), (1, 1), (2, 4)])
def test_grid_places_every_pixel_exactly_and_the_rest_is_white(channels, num, num_columns):
    images = torch.rand(num, channels, 4, 5)
    grid = make_image_grid(images, num_columns)
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
    assert make_image_grid(images, 1)[0, :, 0].tolist() == [0, 0.25, 1]


def test_grid_takes_half_precision_and_gradients():
    images = torch.rand(2, 1, 3, 3, dtype=torch.bfloat16, requires_grad=True)
    assert make_image_grid(images, 2).shape == (3, 6 + PAD, 3)


def grey(*shape):
    return torch.rand(*shape, 1, 6, 6)


def shown(figure):
    return figure.axes[0].get_images()[0].get_array()


def pixels(grid):
    return (255 * grid).round().astype(np.uint8)


def test_reconstructions_are_below_their_data(words):
    x, x_hat = grey(3), grey(3)
    figure = figures.plot_reconstructions(x, x_hat)
    np.testing.assert_array_equal(shown(figure), pixels(make_image_grid(torch.cat([x, x_hat]), 3)))
    assert words(figure.axes[0].get_yticklabels()) == ["data", "mean of p(x|z)"]


def test_traversals_name_their_rows_and_columns(words):
    images = grey(2, 3)
    figure = figures.plot_traversals(images, ["z1", "z0"], VALUES)
    np.testing.assert_array_equal(shown(figure), pixels(make_image_grid(images.flatten(0, 1), 3)))
    assert words(figure.axes[0].get_yticklabels()) == ["z1", "z0"]
    assert words(figure.axes[0].get_xticklabels()) == ["-2", "0", "+2"]


def test_manifold_puts_the_smallest_second_latent_at_the_bottom(words):
    images = grey(3, 3)
    figure = figures.plot_manifold(images, VALUES)
    bottom_left = shown(figure)[-6:, :6, 0]
    np.testing.assert_array_equal(bottom_left, pixels(images[0, 0, 0].numpy()))
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("$z_0$", "$z_1$")
    ticks = figure.axes[0].get_yticks()
    assert words(figure.axes[0].get_yticklabels()) == ["-2.00", "0.00", "2.00"]
    assert ticks[0] > ticks[1] > ticks[2]  # image rows count downwards


def test_many_columns_are_named_now_and_then_and_in_few_digits(words):
    axes = figures.plot_traversals(grey(1, 30), ["z"], np.linspace(-2, 2, 30).tolist()).axes[0]
    names = words(axes.get_xticklabels())
    assert len(names) == 10
    assert names[:2] == ["-2", "-1.6"]
    assert axes.get_xticks()[1] == pytest.approx(3.5 * shown_width(axes) / 30 - 0.5)


def shown_width(axes):
    return axes.get_images()[0].get_array().shape[1]
