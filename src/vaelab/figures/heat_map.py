"""Which latent knows which factor."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from vaelab.figures import page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 0.19  # inches, the height of a row
MAX_COLUMNS_WITH_NUMBERS = 8
MAX_ROWS_WITH_NUMBERS = 32


def mutual_information_heat_map(
    mi: ArrayLike, latent_names: Sequence[str], factor_names: Sequence[str], caption: str = ""
) -> "Figure":
    """Mutual information of every latent and factor, from 0 up.

    Args:
        mi: (L, F), in nats.
        latent_names: of the rows.
        factor_names: of the columns.
        caption: what is shown.
    """
    values = np.asarray(mi, float)
    num_rows, num_columns = values.shape
    top = max(float(np.nanmax(values)), 1e-12)
    figure = page.page(max(num_rows * CELL, 1.0) + 0.75, caption)
    axes = figure.add_subplot()
    image = axes.imshow(values, cmap=page.COLOUR_MAP, vmin=0, vmax=top, aspect="auto")
    page.dress(axes)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_yticks(range(num_rows), latent_names)
    room = (page.WIDTH - 1.2) / num_columns
    slanted = max(map(page.text_width, factor_names)) > room
    turn: dict[str, Any] = (
        {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    )
    axes.set_xticks(range(num_columns), factor_names, **turn)
    if num_columns <= MAX_COLUMNS_WITH_NUMBERS and num_rows <= MAX_ROWS_WITH_NUMBERS:
        for row, column in np.ndindex(values.shape):
            value = values[row, column]
            ink = "black" if value > 0.55 * top else "white"
            place: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": page.FONT - 0.5}
            axes.text(column, row, f"{value:.2f}", color=ink, **place)
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label("mutual information (nats)", fontsize=page.FONT)
    bar.ax.tick_params(labelsize=page.FONT - 0.5, length=2, width=0.6, pad=2)
    bar.outline.set_visible(False)
    return figure


def rank_correlation_heat_map(rho: ArrayLike, names: Sequence[str], caption: str = "") -> "Figure":
    """Rank correlation of every two numbers, from -1 to 1; what is nan stays empty.

    Args:
        rho: (N, N).
        names: of the numbers.
        caption: what is shown.
    """
    values = np.asarray(rho, float)
    num = len(values)
    width = page.WIDTH if num <= MAX_COLUMNS_WITH_NUMBERS else page.WIDE
    cell = (width - 1.9) / num
    below = max(map(page.text_width, names)) * 0.75
    height = max(num * max(min(cell, 0.3), CELL), 1.5)  # the colour bar's label fits
    figure = page.page(height + below + 0.15, caption, width=width)
    axes = figure.add_subplot()
    image = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    page.dress(axes)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_yticks(range(num), names)
    axes.set_xticks(range(num), names, rotation=45, ha="right", rotation_mode="anchor")
    if cell > page.text_width("-0.00") * 0.95:
        for row, column in np.argwhere(np.isfinite(values)):
            value = values[row, column]
            ink = "black" if abs(value) < 0.6 else "white"
            place: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": page.FONT - 1}
            text = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
            axes.text(column, row, text, color=ink, **place)
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label("Spearman's rank correlation", fontsize=page.FONT)
    bar.ax.tick_params(labelsize=page.FONT - 0.5, length=2, width=0.6, pad=2)
    bar.outline.set_visible(False)
    return figure
