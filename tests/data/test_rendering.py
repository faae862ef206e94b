"""The renderer against the formula pixel by pixel, against geometry and against real frames."""

import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from vaelab.data.rendering import SIZES, render
from vaelab.errors import UserError


@pytest.fixture(scope="module")
def grid():
    return render()


def unpacked(images, image_size=64):
    return np.unpackbits(images, axis=-1).reshape(*images.shape[:-1], image_size, image_size)


def by_formula(shape, s, t, pos_x, pos_y, image_size):
    """One image, every pixel decided separately."""
    centre = (np.arange(image_size) + 0.5) * 64 / image_size
    dx = centre[None, :] - (16 + 32 * pos_x)
    dy = centre[:, None] - (16 + 32 * pos_y)
    u = (np.cos(t) * dx + np.sin(t) * dy) / s
    v = (-np.sin(t) * dx + np.cos(t) * dy) / s
    if shape == 0:
        return (abs(u) < 9.5998) & (abs(v) < 9.5998)
    if shape == 1:
        return (u / 12.76) ** 2 + (v / 7.215) ** 2 <= 1
    a = np.linspace(0, 2 * np.pi, 4001)
    curve_v = 13 * np.cos(a) - 5 * np.cos(2 * a) - 2 * np.cos(3 * a) - np.cos(4 * a)
    curve = np.stack([0.5997 * 16 * np.sin(a) ** 3, -0.66216 * curve_v - 1.4365], -1)
    near = (abs(u) < 10) & (abs(v) < 13)
    inside = np.zeros(u.shape, bool)
    inside[near] = Outline(curve).contains_points(np.stack([u[near], v[near]], -1))
    return inside


def test_whole_grid_has_512_bytes_per_image(grid):
    assert grid.shape == (737_280, 512)
    assert grid.dtype == np.uint8


def test_random_images_of_the_whole_grid_follow_the_formula(grid):
    index = np.random.default_rng(0).integers(len(grid), size=150)
    wrong = 0
    for i in index:
        shape, scale, orientation, x, y = np.unravel_index(i, SIZES)
        s, t = np.linspace(0.5, 1, 6)[scale], np.linspace(0, 2 * np.pi, 40)[orientation]
        expected = by_formula(shape, s, t, x / 31, y / 31, 64)
        wrong += (unpacked(grid[i]) != expected).sum()
    # Both sides stand for the curves by polygons, of different numbers of sides: a pixel centre
    # within 1e-5 of a curve may fall on either side of it.
    assert wrong <= 2


@pytest.mark.parametrize("image_size", [16, 32, 64])
def test_smaller_grids_follow_the_formula(image_size):
    images = unpacked(render((3, 2, 3, 2, 1), image_size), image_size).reshape(3, 2, 3, 2, -1)
    for shape, scale, orientation, x in np.ndindex(3, 2, 3, 2):
        args = (shape, (0.5, 1.0)[scale], np.pi * orientation, x, 0.5)
        expected = by_formula(*args, image_size).ravel()
        assert (images[shape, scale, orientation, x] != expected).sum() <= 1


def test_single_values_are_full_size_upright_and_central():
    image = unpacked(render((1, 1, 1, 1, 1), 64, shapes=(1,)))[0]
    assert (image == by_formula(1, 1.0, 0.0, 0.5, 0.5, 64)).all()
    assert (image == image[::-1, ::-1]).all()


def test_areas_are_those_of_the_curves(grid):
    lit = np.bitwise_count(grid).sum(1, dtype=np.int64).reshape(3, 6, -1).mean(-1)
    a = np.linspace(0, 2 * np.pi, 10_001)
    u = 0.5997 * 16 * np.sin(a) ** 3
    v = -0.66216 * (13 * np.cos(a) - 5 * np.cos(2 * a) - 2 * np.cos(3 * a) - np.cos(4 * a))
    heart = abs(np.sum(u[1:] * v[:-1] - u[:-1] * v[1:])) / 2
    areas = np.array([(2 * 9.5998) ** 2, np.pi * 12.76 * 7.215, heart])
    np.testing.assert_allclose(lit, np.outer(areas, np.linspace(0.5, 1, 6) ** 2), rtol=2e-3)


def test_a_turn_closes_and_positions_move_the_right_way(grid):
    images = grid.reshape(*SIZES, 512)
    assert (images[:, :, 0] == images[:, :, 39]).all()
    right, down = unpacked(images[0, 0, 0, 31, 0]), unpacked(images[0, 0, 0, 0, 31])
    assert right[16, 48] == 1
    assert right[48, 16] == 0
    assert (right == down.T).all()


def test_shapes_are_chosen_and_ordered():
    full = render((3, 2, 2, 2, 2), 32)
    chosen = render((2, 2, 2, 2, 2), 32, shapes=(2, 0))
    assert (chosen == np.concatenate([full[32:], full[:16]])).all()


def test_real_frames_are_reproduced(grid):
    path = Path(os.environ.get("VAELAB_DATA_DIR", "")) / "dsprites_frames.npz"
    if "VAELAB_DATA_DIR" not in os.environ or not path.exists():
        pytest.skip("set VAELAB_DATA_DIR to a folder with dsprites_frames.npz to compare with it")
    with np.load(path) as file:
        frames, factors = file["frames"], file["factors"]
    index = np.ravel_multi_index(factors.T.astype(np.int64), SIZES)
    wrong = np.bitwise_count(grid[index] ^ frames).sum(1)
    assert wrong.sum() <= 28
    assert wrong.max() <= 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((3, 6, 40, 32, 32), 48), "image_size expects one of 16, 32, 64, got 48"),
        (((3, 6, 40, 32), 64), r"^factor_sizes expects five .*, got \(3, 6, 40, 32\)"),
        (((3, 0, 40, 32, 32), 64), "at least 1"),
        (((2, 1, 1, 1, 1), 64), "^shapes expects 2 different ones"),
        (((2, 1, 1, 1, 1), 64, (0, 3)), r"got \(0, 3\)"),
        (((2, 1, 1, 1, 1), 64, (1, 1)), r"got \(1, 1\)"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(UserError, match=message):
        render(*arguments)
