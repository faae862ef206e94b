"""Codes in the plane, coloured by what the images show."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from vaelab.figures import page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXIS_NAMES = ("$z_1$", "$z_2$")
MAX_FACTOR_CLASSES = 3  # a factor of more values is coloured as a quantity
PANELS_PER_ROW = 2
PANEL = 1.55  # inches, the height of one
ONE_COLOUR = "#0072B2"


def latent_scatter(
    z: Tensor,
    values: Tensor | None,
    name: str = "label",
    caption: str = "",
    *,
    continuous: bool = False,
    axis_names: tuple[str, str] = AXIS_NAMES,
) -> "Figure":
    """Points in the plane, coloured by class or by a quantity.

    Args:
        z: (N, 2).
        values: (N,), or None for one colour. More than ten classes get one colour, too.
        name: of what the colours mean.
        caption: what is shown.
        continuous: whether `values` is a quantity, with a colour bar, or classes, with a legend.
        axis_names: of the two axes.
    """
    figure = page.page(2.75, caption)
    axes = figure.add_subplot()
    classes = [] if values is None or continuous else values.unique().tolist()
    if values is not None and continuous:
        drawn = _points(axes, z, c=values.detach().cpu().numpy(), cmap=page.COLOUR_MAP)
        _colour_bar(axes, drawn, name)
    elif values is not None and len(classes) <= len(page.CLASS_COLOURS):
        number = np.searchsorted(classes, values.cpu().numpy())
        # In the order given, not class by class: else the last class would hide the others.
        _points(axes, z, c=np.array(page.CLASS_COLOURS)[number])
        _name_classes(axes, z.detach().cpu().numpy(), number, [str(c) for c in classes], name)
    else:
        _points(axes, z, c=ONE_COLOUR)
    page.dress(axes, *axis_names)
    return figure


def factor_scatters(
    z: Tensor,
    factors: Mapping[str, Tensor],
    caption: str = "",
    *,
    axis_names: tuple[str, str] = AXIS_NAMES,
) -> "Figure":
    """The same points in a panel for each factor, which colours them.

    Args:
        z: (N, 2).
        factors: name -> (N,) values; up to three distinct ones are classes, more a quantity.
        caption: what is shown.
        axis_names: of the two axes.
    """
    num_columns = min(PANELS_PER_ROW, len(factors))
    num_rows = -(-len(factors) // num_columns)
    figure = page.page(PANEL * num_rows + 0.2, caption, layout="compressed")
    panels = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for i, (axes, (name, values)) in enumerate(zip(panels, factors.items(), strict=False)):
        _factor(axes, z, values)
        lowest, leftmost = i + num_columns >= len(factors), i % num_columns == 0
        page.dress(axes, axis_names[0] if lowest else "", axis_names[1] if leftmost else "")
        axes.set_title(name, fontsize=page.FONT, pad=3)
    for axes in panels[len(factors) :]:
        axes.set_axis_off()
    return figure


def _factor(axes: "Axes", z: Tensor, values: Tensor) -> None:
    from matplotlib.colors import ListedColormap

    classes = values.unique().tolist()
    if len(classes) > MAX_FACTOR_CLASSES:
        colours = values.detach().cpu().numpy()
        _colour_bar(axes, _points(axes, z, c=colours, cmap=page.COLOUR_MAP))
        return
    number = np.searchsorted(classes, values.cpu().numpy())
    few = ListedColormap(list(page.CLASS_COLOURS[: len(classes)]))
    drawn = _points(axes, z, c=number, cmap=few, vmin=-0.5, vmax=len(classes) - 0.5)
    _colour_bar(axes, drawn, classes=classes)


def _points(axes: "Axes", z: Tensor, **look: Any) -> Any:
    """Small dots, one image in an SVG, with the same scale on both axes."""
    points = z.detach().float().cpu().numpy()
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.53 * max(float((high - low).max()), 1e-6)
    left, bottom = (low + high) / 2 - half
    axes.set(xlim=(left, left + 2 * half), ylim=(bottom, bottom + 2 * half), box_aspect=1)
    x, y = points.T
    return axes.scatter(x, y, s=2.5, alpha=0.7, linewidths=0, rasterized=True, **look)


def _colour_bar(axes: "Axes", drawn: Any, name: str = "", classes: Sequence | None = None) -> None:
    bar: Any = axes.figure.colorbar(drawn, ax=axes, fraction=0.06, pad=0.03)
    bar.solids.set_alpha(1)
    bar.set_label(name, fontsize=page.FONT)
    bar.ax.tick_params(labelsize=page.FONT - 0.5, length=2, width=0.6, pad=2)
    bar.outline.set_visible(False)
    if classes is not None:
        bar.set_ticks(range(len(classes)), labels=[str(c) for c in classes])


def _name_classes(
    axes: "Axes", points: np.ndarray, number: np.ndarray, names: list[str], title: str
) -> None:
    """A legend, and each name in the middle of its points, for who can't tell the colours apart."""
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    look: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 4, "markeredgewidth": 0}
    marks = [Line2D([], [], color=page.CLASS_COLOURS[i], **look) for i in range(len(names))]
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "borderaxespad": 0.2}
    fonts: dict[str, Any] = {
        "fontsize": page.FONT,
        "title_fontsize": page.FONT,
        "handletextpad": 0.1,
    }
    axes.legend(marks, names, title=title, frameon=False, **place, **fonts)
    halo = [withStroke(linewidth=2, foreground="white")]
    for i, name in enumerate(names):
        x, y = np.median(points[number == i], axis=0)
        middle: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "fontsize": page.FONT + 1,
            "weight": "bold",
        }
        axes.text(x, y, name, path_effects=halo, **middle)
