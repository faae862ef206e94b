"""Analogies and manifolds: every image at its place, and the frame around the own class."""

import numpy as np
import torch

from vaelab import figures
from vaelab.figures import PAD


def shown(axes):
    return axes.get_images()[0].get_array()[..., 0]


def grey(images):
    return (255 * images[..., 0, :, :]).round().byte().numpy()


def test_analogies_are_where_their_columns_say():
    x, x_hat, decoded = torch.rand(2, 1, 4, 5), torch.rand(2, 1, 4, 5), torch.rand(2, 3, 1, 4, 5)
    figure = figures.plot_analogies(x, x_hat, decoded, [2, 0], ["a", "b", "c"])
    (axes,) = figure.axes
    pixels = shown(axes)
    centres = dict(
        zip([t.get_text() for t in axes.get_xticklabels()], axes.get_xticks(), strict=True)
    )
    assert list(centres) == ["data", "rec.", "a", "b", "c"]
    expected = torch.cat([x[:, None], x_hat[:, None], decoded], 1)
    for row in range(2):
        for column, centre in enumerate(centres.values()):
            left, top = round(centre - 2), row * (4 + PAD)
            cell = pixels[top : top + 4, left : left + 5]
            np.testing.assert_array_equal(cell, grey(expected[row, column]))
    for frame, (row, name) in zip(axes.patches, [(0, "c"), (1, "a")], strict=True):
        (x0, y0), (x1, y1) = frame.get_bbox().min, frame.get_bbox().max
        assert (x0 + x1) / 2 == centres[name]
        assert y0 < row * (4 + PAD) < row * (4 + PAD) + 3 < y1


def test_a_panel_per_class_with_z1_upwards():
    images = torch.rand(4, 3, 2, 1, 4, 4)  # classes, z1, z0
    figure = figures.plot_manifolds(images, ["a", "b", "c", "d"])
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c", "d"]
    for axes, one in zip(figure.axes, images, strict=True):
        lowest = shown(axes)[2 * (4 + PAD) :, :4]
        np.testing.assert_array_equal(lowest, grey(one[0, 0]))
