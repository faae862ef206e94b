"""Scatter plots of codes, coloured by labels or factors."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from vaelab.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXIS_NAMES = ("$z_0$", "$z_1$")
MAX_FACTOR_CLASSES = 3  # a factor of more values is coloured as a continuous one
PANELS_PER_ROW = 2
PANEL = 1.55  # inches, the height of one
SINGLE_COLOUR = "#0072B2"
AXES_HEIGHT = 2.3  # inches of a single scatter, about
BOLD = 1.15  # by how much bold text is wider
MAX_MOVE = 2.5  # lines by which a name may leave its points; the legend has those that would


def plot_latent_scatter(
    z: Tensor,
    values: Tensor | None,
    name: str = "label",
    caption: str = "",
    *,
    continuous: bool = False,
    axis_names: tuple[str, str] = AXIS_NAMES,
    class_names: Sequence[str] | None = None,
) -> "Figure":
    """Points in the plane, coloured by class or by a continuous value.

    Args:
        z: (N, 2).
        values: (N,), or None for one colour. More than ten classes have one colour, too.
        name: what the colours stand for.
        caption: what is shown.
        continuous: whether `values` are continuous, with a colour bar, or classes, with a legend.
        axis_names: of the two axes.
        class_names: of the classes 0, 1, ...; None shows their numbers.
    """
    figure = style.new_figure(2.75, caption)
    axes = figure.add_subplot()
    classes = [] if values is None or continuous else values.unique().tolist()
    if values is not None and continuous:
        drawn = _plot_points(axes, z, c=values.detach().cpu().numpy(), cmap=style.COLOUR_MAP)
        _add_colour_bar(axes, drawn, name)
    elif values is not None and len(classes) <= len(style.CLASS_COLOURS):
        number = np.searchsorted(classes, values.cpu().numpy())
        # In the order given and not class by class, or the last class would hide the others.
        _plot_points(axes, z, c=np.array(style.CLASS_COLOURS)[number])
        names = [str(c) if class_names is None else class_names[int(c)] for c in classes]
        _label_classes(axes, z.detach().cpu().numpy(), number, names, name)
    else:
        _plot_points(axes, z, c=SINGLE_COLOUR)
    style.style_axes(axes, *axis_names)
    return figure


def plot_factor_scatters(
    z: Tensor,
    factors: Mapping[str, Tensor],
    caption: str = "",
    *,
    axis_names: tuple[str, str] = AXIS_NAMES,
    value_names: Mapping[str, Sequence[str]] | None = None,
) -> "Figure":
    """The same points in one panel per factor, coloured by it.

    Args:
        z: (N, 2).
        factors: name -> (N,) values; up to three distinct ones are classes, more are continuous.
        caption: what is shown.
        axis_names: of the two axes.
        value_names: of the values 0, 1, ... of each factor; None shows their numbers.
    """
    num_columns = min(PANELS_PER_ROW, len(factors))
    num_rows = -(-len(factors) // num_columns)
    figure = style.new_figure(PANEL * num_rows + 0.2, caption, layout="compressed")
    panels = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for i, (axes, (name, values)) in enumerate(zip(panels, factors.items(), strict=False)):
        _plot_factor(axes, z, values, None if value_names is None else value_names[name])
        lowest, leftmost = i + num_columns >= len(factors), i % num_columns == 0
        style.style_axes(axes, axis_names[0] if lowest else "", axis_names[1] if leftmost else "")
        axes.set_title(name, fontsize=style.FONT, pad=3)
    for axes in panels[len(factors) :]:
        axes.set_axis_off()
    return figure


def _plot_factor(
    axes: "Axes", z: Tensor, values: Tensor, value_names: Sequence[str] | None
) -> None:
    from matplotlib.colors import ListedColormap

    classes = values.unique().tolist()
    if len(classes) > MAX_FACTOR_CLASSES:
        colours = values.detach().cpu().numpy()
        _add_colour_bar(axes, _plot_points(axes, z, c=colours, cmap=style.COLOUR_MAP))
        return
    number = np.searchsorted(classes, values.cpu().numpy())
    few = ListedColormap(list(style.CLASS_COLOURS[: len(classes)]))
    drawn = _plot_points(axes, z, c=number, cmap=few, vmin=-0.5, vmax=len(classes) - 0.5)
    names = [str(c) if value_names is None else value_names[int(c)] for c in classes]
    _add_colour_bar(axes, drawn, classes=names)


def _plot_points(axes: "Axes", z: Tensor, **options: Any) -> Any:
    """Small dots, one image in an SVG, with the same scale on both axes."""
    points = z.detach().float().cpu().numpy()
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.53 * max(float((high - low).max()), 1e-6)
    left, bottom = (low + high) / 2 - half
    axes.set(xlim=(left, left + 2 * half), ylim=(bottom, bottom + 2 * half), box_aspect=1)
    x, y = points.T
    return axes.scatter(x, y, s=2.5, alpha=0.7, linewidths=0, rasterized=True, **options)


def _add_colour_bar(
    axes: "Axes", drawn: Any, name: str = "", classes: Sequence[str] | None = None
) -> None:
    bar = style.add_colour_bar(axes, drawn, name, fraction=0.06, pad=0.03)
    bar.solids.set_alpha(1)
    if classes is not None:
        bar.set_ticks(range(len(classes)), labels=classes)


def _label_classes(
    axes: "Axes", points: np.ndarray, number: np.ndarray, names: list[str], title: str
) -> None:
    """A legend, and names at the medians of their points for readers with colour blindness."""
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    dot: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 4, "markeredgewidth": 0}
    handles = [Line2D([], [], color=style.CLASS_COLOURS[i], **dot) for i in range(len(names))]
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "borderaxespad": 0.2}
    fonts: dict[str, Any] = {"fontsize": style.FONT, "title_fontsize": style.FONT}
    axes.legend(handles, names, title=title, frameon=False, handletextpad=0.1, **place, **fonts)
    halo = [withStroke(linewidth=2, foreground="white")]
    middle: dict[str, Any] = {"ha": "center", "va": "center", "weight": "bold"}
    medians = np.array([np.median(points[number == i], axis=0) for i in range(len(names))])
    units = np.ptp(axes.get_ylim()) / AXES_HEIGHT  # of the data, per inch
    sizes = [(BOLD * style.text_width(name, style.FONT + 1), style.LINE) for name in names]
    moved = separate(medians, units * np.array(sizes))
    for (x, y), (_, median), name in zip(moved, medians, names, strict=True):
        if y - median <= MAX_MOVE * units * style.LINE:
            axes.text(x, y, name, path_effects=halo, fontsize=style.FONT + 1, **middle)


def separate(centres: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Centres (N, 2) of boxes of these sizes (N, 2), moved upwards where boxes would overlap."""
    moved = centres.copy()
    order = np.argsort(centres[:, 1], kind="stable")
    for place, i in enumerate(order):
        for j in sorted(order[:place], key=lambda j: moved[j, 1]):
            overlap = np.abs(moved[i] - moved[j]) < (sizes[i] + sizes[j]) / 2
            if overlap.all():
                moved[i, 1] = moved[j, 1] + (sizes[i, 1] + sizes[j, 1]) / 2
    return moved
