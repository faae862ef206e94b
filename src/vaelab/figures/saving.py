"""Figures and animations as bytes and files; the same figure gives the same bytes."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vaelab.figures.animation import Animation
from vaelab.figures.pixels import DPI, is_grey, to_array
from vaelab.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_GIF_BYTES = 2_000_000


def to_png(figure: "Figure", dpi: float = DPI) -> bytes:
    """The figure as PNG, with one byte per pixel where it is grey."""
    from PIL import Image

    pixels = to_array(figure, dpi)
    image = Image.fromarray(pixels[..., 0] if is_grey(pixels) else pixels)
    return _encode_image(image, "PNG", dpi=(dpi, dpi))


def to_svg(figure: "Figure") -> str:
    """The figure as an <svg> element, for a file or for a page of HTML.

    Text stays text, images keep their own pixels, and there are no dates and no random ids.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    images = [image for axes in figure.axes for image in axes.get_images()]
    before = [image.get_interpolation() for image in images]
    for image in images:
        image.set_interpolation("none")  # embedded as it is, not resampled
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "vaelab"}):
        figure.savefig(buffer, format="svg", dpi=DPI, metadata={"Date": None})
    for image, interpolation in zip(images, before, strict=True):
        image.set_interpolation(interpolation)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def to_gif(animation: Animation) -> bytes:
    """The animation as GIF in an endless loop.

    Grey frames keep their exact shades; coloured ones share a palette of 256 colours. Where that
    is more than 2 MB, there are 64 shades or colours, then 16.
    """
    for num_shades in (256, 64, 16):
        first, *others = _palette_images(animation.frames, num_shades)
        encoded = _encode_image(
            first,
            "GIF",
            save_all=True,
            append_images=others,
            duration=round(1000 * animation.seconds_per_frame),
            loop=0,
            optimize=False,
        )
        if len(encoded) <= MAX_GIF_BYTES:
            break
    return encoded


def encode(figure: "Figure | Animation", format: str) -> bytes:
    """A figure as "png" or "svg", an animation as "gif"."""
    if isinstance(figure, Animation):
        return {"gif": to_gif}[format](figure)
    return to_svg(figure).encode() if format == "svg" else {"png": to_png}[format](figure)


def write_encoded(encoded: bytes, path: Path) -> None:
    """Write the bytes of `encode` to a file, atomically."""
    write_atomically(path, lambda file: file.write(encoded))


def _palette_images(frames: np.ndarray, num_shades: int) -> list[Any]:
    """PIL images of (T, H, W, 3) frames: grey, or with one palette, which can't flicker."""
    from PIL import Image

    if is_grey(frames):
        step = 255 / (num_shades - 1)
        table = np.round(np.round(np.arange(256) / step) * step).astype(np.uint8)
        return [Image.fromarray(table[frame]) for frame in frames[..., 0]]
    some = frames[:: -(-len(frames) // 8)]
    palette = Image.fromarray(some.reshape(-1, *some.shape[2:])).quantize(num_shades)
    images = [Image.fromarray(frame) for frame in frames]
    return [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]


def _encode_image(image: Any, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()
