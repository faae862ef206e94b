"""What all figures share: width, font, colours, and captions that wrap."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 3.5  # inches: one column of a two-column paper, so that text is not scaled in print
WIDE = 7.16  # inches: both columns
FONT = 7.0  # points
LINE = FONT * 1.25 / 72  # inches from one line of text to the next
LEGEND_ROW = 1.3 * LINE  # inches
MARGIN = 0.04  # inches

# Petroff's ten colours, chosen for scatter plots and colour-vision deficiencies: Accessible Color
# Sequences for Data Visualization, 2021, https://arxiv.org/abs/2107.02270
CLASS_COLOURS = (
    "#3F90DA", "#FFA90E", "#BD1F01", "#94A4A2", "#832DB6",
    "#A96B59", "#E76300", "#B9AC70", "#717581", "#92DADD",
)  # fmt: skip
# The colour-blind-safe colours of Okabe and Ito (https://jfly.uni-koeln.de/color/) except yellow,
# which is hard to see as a line on white. Line styles and hatches distinguish them in greyscale.
LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
LINE_STYLES = ("-", "--", "-.", ":")
COLOUR_MAP = "viridis"  # perceptually uniform, also without colour vision and in greyscale


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = FONT) -> float:
    """Width of `text` in inches, at a font size in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    properties = FontProperties(size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, properties, ismath="$" in text)
    return float(width) / 72


def wrap_text(text: str, inches: float, size: float = FONT) -> list[str]:
    """Lines of at most `inches`, broken between words; only a single longer word is wider."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= inches:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def caption_height(lines: Sequence[str]) -> float:
    """Inches that a caption of these lines takes, including the space below it."""
    return len(lines) * LINE + MARGIN if lines else 0.0


def new_figure(
    height: float,
    caption: str,
    layout: Literal["constrained", "compressed"] = "constrained",
    width: float = WIDTH,
    legend_rows: int = 0,
) -> "Figure":
    """An empty figure with `height` inches for axes, below its caption and rows of a legend."""
    from matplotlib.figure import Figure

    lines = wrap_text(caption, width - 2 * MARGIN)
    total = height + legend_rows * LEGEND_ROW + caption_height(lines)
    figure = Figure(figsize=(width, total), layout=layout)
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=MARGIN, h_pad=MARGIN, rect=(0, 0, 1, height / figure.get_figheight()))
    add_caption(figure, lines)
    return figure


def add_caption(figure: "Figure", lines: Sequence[str]) -> None:
    """Put the caption at the top left of the figure, in the space reserved for it."""
    width, height = figure.get_size_inches()
    x, y = MARGIN / width, 1 - MARGIN / 2 / height
    text = figure.text(x, y, "\n".join(lines), fontsize=FONT, linespacing=1.15, ha="left", va="top")
    text.set_in_layout(False)
    text.set_gid("caption")


def style_axes(axes: "Axes", x_label: str = "", y_label: str = "", frame: bool = True) -> None:
    """Set labels and ticks in the font of the figure; lines left and below, or no `frame`."""
    axes.set_xlabel(x_label, fontsize=FONT)
    axes.set_ylabel(y_label, fontsize=FONT)
    axes.tick_params(labelsize=FONT - 0.5, length=2.5 if frame else 0, width=0.6, pad=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_visible(frame)
    axes.spines[["left", "bottom"]].set_linewidth(0.6)


def add_legend(figure: "Figure", num_columns: int = 1, **options: Any) -> None:
    """A legend in the room that `new_figure` reserved for it between caption and axes."""
    engine: Any = figure.get_layout_engine()
    top_of_axes = engine.get()["rect"][3]
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, top_of_axes)}
    pads: dict[str, Any] = {"borderaxespad": 0, "borderpad": 0.2, "handlelength": 1.6}
    figure.legend(
        ncols=num_columns, fontsize=FONT, frameon=False, **place, **pads, **options
    ).set_in_layout(False)


def add_colour_bar(
    axes: "Axes", drawn: Any, label: str = "", *, fraction: float = 0.05, pad: float = 0.02
) -> Any:
    """A colour bar beside the axes for what was `drawn` with a colour map; returns the bar."""
    figure: Any = axes.figure
    bar = figure.colorbar(drawn, ax=axes, fraction=fraction, pad=pad)
    bar.set_label(label, fontsize=FONT)
    bar.ax.tick_params(labelsize=FONT - 0.5, length=2, width=0.6, pad=2)
    bar.outline.set_visible(False)
    return bar
