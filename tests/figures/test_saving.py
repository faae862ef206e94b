"""What is saved is what was drawn, whole, and the same each time."""

import base64
import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from vaelab import figures
from vaelab.errors import UserError
from vaelab.figures.saving import MAX_GIF_BYTES


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def smooth(num, height, width, colours):
    """Slow waves, which as frames of an animation are like decoded images."""
    t, y, x = np.ogrid[0:num, 0:height, 0:width]
    channels = [np.sin(x / 9 + t / 3) * np.cos(y / 7 + c) for c in range(3 if colours else 1)]
    frames = np.stack(channels * (1 if colours else 3), axis=-1)
    return np.round(127.5 * (1 + frames)).astype(np.uint8)


def frames_of(encoded):
    with Image.open(io.BytesIO(encoded)) as gif:
        for i in range(gif.n_frames):
            gif.seek(i)
            yield np.asarray(gif.convert("RGB"))


def test_array_has_the_pixels_of_the_figure():
    figure = Figure(figsize=(2, 1))
    figure.set_facecolor("#FF8000")
    array = figures.to_array(figure, dpi=50)
    assert (array.shape, array.dtype) == ((50, 100, 3), np.uint8)
    assert (array == [255, 128, 0]).all()


@pytest.mark.parametrize(("colour", "mode"), [("#FF8000", "RGB"), ("#808080", "L")])
def test_png_has_the_pixels_and_says_how_large_it_is_in_print(colour, mode):
    figure = Figure(figsize=(2, 1), facecolor=colour)
    with Image.open(io.BytesIO(figures.to_png(figure, dpi=50))) as image:
        assert image.mode == mode
        assert image.info["dpi"] == pytest.approx((50, 50), abs=0.1)
        shown = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(shown, figures.to_array(figure, 50))


def test_svg_is_well_formed_keeps_text_and_the_images_own_pixels():
    images = torch.rand(4, 1, 6, 6)
    root = ElementTree.fromstring(figures.to_svg(figures.samples(images, 2, "some words")))
    assert root.tag.endswith("svg")
    assert "some words" in "".join(root.itertext())
    (image,) = [node for node in root.iter() if node.tag.endswith("}image")]
    data = next(value for key, value in image.attrib.items() if key.endswith("href"))
    with Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))) as embedded:
        shown = np.asarray(embedded.convert("RGB"))
    grid = (figures.image_grid(images, 2) * 255).round().astype(np.uint8)
    assert any((turned == grid).all() for turned in (shown, shown[::-1]))


def test_png_is_the_same_before_and_after_an_svg():
    figure = figures.samples(torch.rand(4, 1, 6, 6), 2, "caption")
    before = figures.to_png(figure)
    figures.to_svg(figure)
    assert figures.to_png(figure) == before


def test_files_are_whole_and_alone(tmp_path):
    figure = figures.samples(torch.rand(4, 1, 6, 6), 2, "caption")
    figures.save(figure, tmp_path / "in" / "a.b", ("png", "svg"))
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["a.b.png", "a.b.svg"]
    figures.save_gif(figures.Animation(noise(3, 8, 9, 3), ""), tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.size) == (3, (9, 8))


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="expected to write"):
        figures.save(Figure(), tmp_path / "file" / "a")


def test_gif_of_greys_has_the_exact_shades_its_pace_and_no_end():
    frames = smooth(7, 40, 50, colours=False)
    encoded = figures.to_gif(figures.Animation(frames, "", seconds_per_frame=0.05))
    np.testing.assert_array_equal(list(frames_of(encoded)), frames)
    with Image.open(io.BytesIO(encoded)) as gif:
        assert (gif.info["duration"], gif.info["loop"]) == (50, 0)
    assert encoded == figures.to_gif(figures.Animation(frames, "", seconds_per_frame=0.05))


def test_gif_of_colours_is_close():
    frames = smooth(7, 40, 50, colours=True)
    shown = np.array(list(frames_of(figures.to_gif(figures.Animation(frames, "")))), float)
    # 256 colours are boxes of 256 / 6.3 shades on average: within a few of those, and not grey.
    assert np.abs(shown - frames).mean() < 20
    assert (shown != shown[..., :1]).any()


def test_gif_too_large_has_fewer_shades():
    frames = noise(45, 200, 250, 1).repeat(3, axis=-1)
    encoded = figures.to_gif(figures.Animation(frames, ""))
    # Noise of 2^b shades takes at least b bits a pixel: 256 can't fit, and 16 barely do.
    assert frames[..., 0].size * 8 / 8 > MAX_GIF_BYTES
    assert len(encoded) <= MAX_GIF_BYTES
    assert len(np.unique(next(frames_of(encoded)))) == 16


def test_encode_knows_what_suits_what():
    assert figures.encode(figures.Animation(noise(2, 4, 4, 3), ""), "gif")[:4] == b"GIF8"
    assert figures.encode(Figure(figsize=(1, 1)), "png")[1:4] == b"PNG"
    with pytest.raises(KeyError):
        figures.encode(Figure(), "gif")
