"""Heat maps: mutual information of latents and factors, rank correlation of metrics."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from vaelab.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL = 0.19  # inches, the height of a row
MAX_COLUMNS_WITH_NUMBERS = 8
MAX_ROWS_WITH_NUMBERS = 32


def plot_mutual_information(
    mi: ArrayLike, latent_names: Sequence[str], factor_names: Sequence[str], caption: str = ""
) -> "Figure":
    """Mutual information of every latent and factor, on a scale that starts at 0.

    Args:
        mi: (L, F), in nats.
        latent_names: of the rows.
        factor_names: of the columns.
        caption: what is shown.
    """
    values = np.asarray(mi, float)
    num_rows, num_columns = values.shape
    top = max(float(np.nanmax(values)), 1e-12)
    figure = style.new_figure(max(num_rows * CELL, 1.0) + 0.75, caption)
    axes = figure.add_subplot()
    image = axes.imshow(values, cmap=style.COLOUR_MAP, vmin=0, vmax=top, aspect="auto")
    style.style_axes(axes, frame=False)
    axes.set_yticks(range(num_rows), latent_names)
    room = (style.WIDTH - 1.2) / num_columns
    axes.set_xticks(range(num_columns), factor_names)
    if max(map(style.text_width, factor_names)) > room:
        _slant_x_labels(axes, 30)
    if num_columns <= MAX_COLUMNS_WITH_NUMBERS and num_rows <= MAX_ROWS_WITH_NUMBERS:
        _write_numbers(axes, values, lambda value: value > 0.55 * top, style.FONT - 0.5)
    style.add_colour_bar(axes, image, "mutual information (nats)")
    return figure


def plot_rank_correlation(rho: ArrayLike, names: Sequence[str], caption: str = "") -> "Figure":
    """Rank correlation of every two metrics, from -1 to 1; NaN is left empty.

    Args:
        rho: (N, N).
        names: of the metrics.
        caption: what is shown.
    """
    values = np.asarray(rho, float)
    num = len(values)
    width = style.WIDTH if num <= MAX_COLUMNS_WITH_NUMBERS else style.WIDE
    cell = (width - 1.9) / num
    below = max(map(style.text_width, names)) * 0.75
    height = max(num * max(min(cell, 0.3), CELL), 1.5)  # the colour bar's label fits
    figure = style.new_figure(height + below + 0.15, caption, width=width)
    axes = figure.add_subplot()
    image = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    style.style_axes(axes, frame=False)
    axes.set_yticks(range(num), names)
    axes.set_xticks(range(num), names)
    _slant_x_labels(axes, 45)
    if cell > style.text_width("-0.00") * 0.95:
        _write_numbers(axes, values, lambda value: abs(value) < 0.6, style.FONT - 1)
    style.add_colour_bar(axes, image, "Spearman's rank correlation")
    return figure


def _slant_x_labels(axes: "Axes", degrees: float) -> None:
    for label in axes.get_xticklabels():
        label.set(rotation=degrees, ha="right", rotation_mode="anchor")


def _write_numbers(
    axes: "Axes", values: np.ndarray, is_light: Callable[[float], bool], size: float
) -> None:
    """The finite values in their cells, black on light colours and white on dark ones."""
    place: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": size}
    for row, column in np.argwhere(np.isfinite(values)):
        value = values[row, column]
        colour = "black" if is_light(value) else "white"
        text = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
        axes.text(column, row, text, color=colour, **place)
