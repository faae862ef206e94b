"""Classifiers by Bayes' rule: errors, bounds of each class, joint densities, reliability, doubt."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from vaelab.figures import style
from vaelab.figures.metric_vs_setting import Line
from vaelab.figures.pixels import to_rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 2.2  # inches of the axes with their labels
RELIABILITY = 3.0
CELL = 0.72  # inches, an image and the bars below it
PER_ROW = 8
OWN, OTHER = style.LINE_COLOURS[0], "#BDBDBD"  # of an image's own class and of the others
HATCHES = ("////", "\\\\\\\\", "....")


def plot_error_by_labels(
    lines: Sequence[Line], caption: str = "", *, images: str = "test"
) -> "Figure":
    """Errors against the number of labelled images, on a logarithmic axis.

    Args:
        lines: one per classifier: x the numbers of labels, and the error with its interval over
            the choices of the labelled images, as shares.
        caption: what is shown.
        images: those that are classified.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    # A column of the legend has its widest name and 0.4 inches for the line beside it.
    widest = max(style.text_width(line.name) for line in lines) + 0.4
    per_row = max(1, min(len(lines), int(style.WIDTH / widest)))
    figure = style.new_figure(HEIGHT, caption, legend_rows=-(-len(lines) // per_row))
    axes = figure.add_subplot()
    style.style_axes(axes, "labelled images", f"{images} error (%)")
    for i, line in enumerate(lines):
        colour, dashes = style.LINE_COLOURS[i], style.LINE_STYLES[i % len(style.LINE_STYLES)]
        centre, low, high = (100 * np.asarray(one, float) for one in line[2:])
        axes.fill_between(line.x, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(line.x, centre, color=colour, linestyle=dashes, linewidth=1.1, marker="o",
                  markersize=2.5, label=line.name)  # fmt: skip
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    every = np.unique(np.concatenate([line.x for line in lines]))
    powers = every[np.log10(every) % 1 == 0]
    axes.xaxis.set_major_locator(FixedLocator((powers if len(powers) > 1 else every).tolist()))
    axes.xaxis.set_minor_locator(FixedLocator(every.tolist()))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=2, width=0.5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.5)
    axes.set_axisbelow(True)
    style.add_legend(figure, per_row)
    return figure


def plot_class_log_likelihoods(
    image: Tensor,
    bounds: Mapping[str, ArrayLike],
    class_names: Sequence[str],
    label: int,
    caption: str = "",
) -> "Figure":
    """Bars of log p(x|y) of an image for each class y, with bounds of it beside each other.

    Args:
        image: (C, H, W) in [0, 1].
        bounds: name, such as "ELBO" or "L_100" or "exact", -> (num_classes,) in nats.
        class_names: of the classes.
        label: the image's own class, whose name is in bold.
        caption: what is shown.
    """
    values = {name: np.asarray(one, float) for name, one in bounds.items()}
    low, high = (f([f(one) for one in values.values()]) for f in (np.min, np.max))
    room = max(high - low, 1e-3)
    figure = style.new_figure(HEIGHT, caption, width=style.WIDE, legend_rows=len(values) > 1)
    shown, axes = figure.subplots(1, 2, width_ratios=(1, 5))
    shown.imshow(to_rgb(image))
    shown.set_axis_off()
    width = 0.8 / len(values)
    places = np.arange(len(class_names))
    for i, (name, one) in enumerate(values.items()):
        fill: dict[str, Any] = {"color": style.LINE_COLOURS[i], "label": name}
        left = places - 0.4 + (i + 0.5) * width
        axes.bar(left, one - (low - 0.15 * room), width * 0.94, bottom=low - 0.15 * room, **fill)
    style.style_axes(axes, "class y", "log p(x|y) (nats)")
    axes.set_xticks(places, class_names)
    axes.get_xticklabels()[label].set_fontweight("bold")
    axes.set_ylim(low - 0.15 * room, high + 0.05 * room)
    if len(values) > 1:
        style.add_legend(figure, len(values))
    return figure


def plot_joint_densities(
    x: ArrayLike, joint: Mapping[str, ArrayLike], caption: str = "", boundary_names: bool = True
) -> "Figure":
    """Joint densities p(x, y) of classes along an axis, with decision boundaries and errors.

    Where a class is not the most probable one, what is under its density is hatched: images of it
    that are decided wrongly. The Bayes error is the area of all of these.

    Args:
        x: (N,) evenly spaced.
        joint: class -> p(x, y) (N,).
        caption: what is shown.
        boundary_names: whether the decision is written above the regions.
    """
    places, names = np.asarray(x, float), list(joint)
    table = np.stack([np.asarray(joint[name], float) for name in names])
    decision = table.argmax(0)
    figure = style.new_figure(HEIGHT, caption, legend_rows=1)
    axes = figure.add_subplot()
    top = 1.12 * table.max()
    for i, (name, density) in enumerate(zip(names, table, strict=True)):
        colour, dashes = style.LINE_COLOURS[i], style.LINE_STYLES[i % len(style.LINE_STYLES)]
        axes.plot(places, density, color=colour, linestyle=dashes, linewidth=1.2, label=name)
        axes.fill_between(
            places, density, where=decision != i, facecolor=colour, alpha=0.3, linewidth=0,
            hatch=HATCHES[i % len(HATCHES)], edgecolor=colour,
        )  # fmt: skip
    change = np.flatnonzero(np.diff(decision))
    boundaries = [_crossing(places, table, int(at)) for at in change]
    for place in boundaries:
        axes.axvline(place, color="#555555", linewidth=0.8, linestyle=":")
    ends = [places[0], *boundaries, places[-1]]
    regions = decision[[*change, -1]]
    for left, right, region in zip(ends[:-1], ends[1:], regions, strict=True):
        if boundary_names:
            axes.text((left + right) / 2, top, f"decide {names[region]}", ha="center", va="top",
                      fontsize=style.FONT - 0.5)  # fmt: skip
    style.style_axes(axes, "x", "p(x, y)")
    axes.set_xlim(places[0], places[-1])
    axes.set_ylim(0, top)
    style.add_legend(figure, len(names))
    return figure


def plot_reliability(
    bins: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]], caption: str = ""
) -> "Figure":
    """Accuracy against confidence, equal if calibrated, and below how many images are in each bin.

    Args:
        bins: name of a classifier -> mean confidence max_y p(y|x), accuracy and number of images of
            each bin, each (B,), and the interval of the accuracy (2, B).
        caption: what is shown.
    """
    figure = style.new_figure(RELIABILITY, caption, legend_rows=1)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
    lowest = 1.0
    for i, (name, one) in enumerate(bins.items()):
        confidence, accuracy, count, ends = (np.asarray(values, float) for values in one)
        lowest = min(lowest, confidence.min(), ends.min())
        colour, dashes = style.LINE_COLOURS[i], style.LINE_STYLES[i % len(style.LINE_STYLES)]
        reach = np.abs(ends - accuracy)  # at 0 and 1 rounding makes it negative
        axes.errorbar(
            confidence, accuracy, reach, color=colour, linestyle=dashes, linewidth=1.0,
            elinewidth=0.7, marker="o", markersize=2.5, label=name,
        )  # fmt: skip
        below.vlines(confidence, 0.8, count, color=colour, linestyle=dashes, linewidth=1.2)
    style.style_axes(axes, "", "accuracy")
    style.style_axes(below, "confidence max p(y|x)", "images")
    start = max(0.0, np.floor(10 * lowest - 0.5) / 10)
    axes.set_xlim(start, 1.02)
    axes.set_ylim(start, 1.02)
    below.set_yscale("log")
    below.set_ylim(bottom=0.8)
    style.add_legend(figure, len(bins))
    return figure


def plot_doubtful_images(
    images: Tensor,
    probabilities: ArrayLike,
    labels: Sequence[int],
    class_names: Sequence[str],
    caption: str = "",
) -> "Figure":
    """Images with bars of p(y|x) of every class below each, their own class in another colour.

    The bars of all images have one scale, up to the largest p(y|x) among them.

    Args:
        images: (N, C, H, W) in [0, 1], the most doubtful first.
        probabilities: (N, num_classes) p(y|x).
        labels: (N,), their classes.
        class_names: of the classes.
        caption: what is shown.
    """
    table, num = np.asarray(probabilities, float), len(images)
    per_row = min(num, PER_ROW)
    num_rows = -(-num // per_row)
    height = num_rows * 1.7 * CELL
    figure = style.new_figure(height, caption, width=style.WIDE)
    cells = figure.subplots(2 * num_rows, per_row, squeeze=False, height_ratios=(1.7, 1) * num_rows)
    for axes in cells.ravel():
        axes.set_axis_off()
    top = float(table.max())
    for i, pixels in enumerate(to_rgb(images)):
        row, column = divmod(i, per_row)
        cells[2 * row, column].imshow(pixels)
        _plot_probabilities(cells[2 * row + 1, column], table[i], labels[i], class_names, top)
    return figure


def _plot_probabilities(
    axes: "Axes", probabilities: np.ndarray, label: int, class_names: Sequence[str], top: float
) -> None:
    places = np.arange(len(class_names))
    axes.set_axis_on()
    axes.bar(places, probabilities, 0.8, color=[OWN if y == label else OTHER for y in places])
    style.style_axes(axes, frame=False)
    axes.spines["bottom"].set_visible(True)
    axes.set_ylim(0, top)
    axes.set_yticks([])
    axes.set_xticks(places, class_names, fontsize=style.FONT - 2)


def _crossing(x: np.ndarray, table: np.ndarray, at: int) -> float:
    """Where the largest rows of the table change between x[at] and x[at + 1], linearly."""
    before, after = table[:, at].argmax(), table[:, at + 1].argmax()
    gap = table[after] - table[before]
    share = gap[at] / (gap[at] - gap[at + 1])
    return float(x[at] + share * (x[at + 1] - x[at]))
