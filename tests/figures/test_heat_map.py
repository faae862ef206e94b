"""The heat map has one row per latent, one column per factor, and numbers where there is room."""

import numpy as np

from vaelab import figures

MI = np.array([[0.0, 1.5], [0.25, 0.5], [0.75, 0.125]])


def heat_map(mi):
    latents, factors = ([f"{word}{i}" for i in range(max(mi.shape))] for word in "zf")
    return figures.plot_mutual_information(mi, latents[: len(mi)], factors[: mi.shape[1]])


def test_values_names_and_numbers_stand_where_they_belong(words):
    axes, bar = heat_map(MI).axes
    (image,) = axes.get_images()
    np.testing.assert_array_equal(image.get_array(), MI)
    assert image.get_clim() == (0.0, 1.5)
    assert words(axes.get_yticklabels()) == ["z0", "z1", "z2"]
    assert words(axes.get_xticklabels()) == ["f0", "f1"]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(c, r): f"{MI[r, c]:.2f}" for r in range(3) for c in range(2)}
    assert bar.get_ylabel() == "mutual information (nats)"


def test_numbers_are_dark_on_light_and_light_on_dark():
    axes = heat_map(MI).axes[0]
    inks = {text.get_text(): text.get_color() for text in axes.texts}
    assert (inks["1.50"], inks["0.00"]) == ("black", "white")


def test_many_cells_have_no_numbers_and_zero_everywhere_is_a_figure():
    assert len(heat_map(np.ones((3, 20))).axes[0].texts) == 0
    assert heat_map(np.zeros((2, 2))).axes[0].get_images()[0].get_clim()[1] > 0
