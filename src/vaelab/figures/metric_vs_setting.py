"""Metrics of many runs against a setting: one panel per metric, one dot per run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaelab.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
PANELS_PER_ROW = 3
PANEL = 1.62  # inches, the height of one
LOGARITHMIC_FROM = 10.0  # ratio of the largest to the smallest positive value
MAX_VECTOR_DOTS = 300  # more runs are one image in an SVG


class Line(NamedTuple):
    """One line: its name, and x, centre, low and high of each of its points."""

    name: str
    x: Floats
    centre: Floats
    low: Floats
    high: Floats


class Panel(NamedTuple):
    """One metric: its label, its lines, and for each line the (x, y) of its runs (R, 2)."""

    label: str
    lines: Sequence[Line]
    dots: Sequence[Floats]


def plot_metric_vs_setting(setting: str, panels: Sequence[Panel], caption: str = "") -> "Figure":
    """Lines with bands, and dots for single runs.

    Args:
        setting: label of the x axis, which is logarithmic where its values spread tenfold.
        panels: one per metric.
        caption: what is shown.
    """
    num_columns = PANELS_PER_ROW
    num_rows = -(-len(panels) // num_columns)
    names = [line.name for line in panels[0].lines]
    legend_columns = int((style.WIDE - 0.2) / (max(map(style.text_width, names)) + 0.5))
    legend_columns = max(1, min(len(names), legend_columns))
    legend_rows = -(-len(names) // legend_columns) if len(names) > 1 else 0
    height = PANEL * num_rows + 0.1
    figure = style.new_figure(height, caption, width=style.WIDE, legend_rows=legend_rows)
    shown = figure.subplots(num_rows, num_columns, squeeze=False, sharex=True).ravel()
    every_x = np.concatenate([line.x for panel in panels for line in panel.lines])
    label = f"{setting} (log scale)" if is_logarithmic(np.unique(every_x)) else setting
    for i, (axes, panel) in enumerate(zip(shown, panels, strict=False)):
        lowest = i + num_columns >= len(panels)
        _plot_panel(axes, panel)
        style.style_axes(axes, label if lowest else "")
        axes.set_title(panel.label, fontsize=style.FONT, pad=4, loc="left")
        if lowest:
            axes.tick_params(labelbottom=True)
    for axes in shown[len(panels) :]:
        axes.set_axis_off()
    _scale_x_axis(shown[0], every_x)
    if legend_rows:
        handles, labels = shown[0].get_legend_handles_labels()
        style.add_legend(figure, legend_columns, handles=handles, labels=labels)
    return figure


def _plot_panel(axes: "Axes", panel: Panel) -> None:
    num_dots = sum(map(len, panel.dots))
    for i, (line, dots) in enumerate(zip(panel.lines, panel.dots, strict=True)):
        colour = style.LINE_COLOURS[i % len(style.LINE_COLOURS)]
        dashes: Any = style.LINE_STYLES[i % len(style.LINE_STYLES)]
        dot: dict[str, Any] = {"s": 5, "alpha": 0.45, "linewidths": 0, "zorder": 2}
        axes.scatter(*dots.T, color=colour, rasterized=num_dots > MAX_VECTOR_DOTS, **dot)
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.18, linewidth=0)
        centre: dict[str, Any] = {"linewidth": 1.1, "marker": "o", "ms": 2.5, "zorder": 3}
        axes.plot(line.x, line.centre, color=colour, linestyle=dashes, label=line.name, **centre)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.5)
    axes.set_axisbelow(True)


def _scale_x_axis(axes: "Axes", x: Floats) -> None:
    """Ticks at the values of the runs, as many as leave room for their labels."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    values = np.unique(x)
    logarithmic = is_logarithmic(values)
    if logarithmic:
        axes.set_xscale("log")
    places = np.log(values) if logarithmic else values
    ticks: list[int] = []
    gap = np.ptp(places) / 8
    for i, place in enumerate(places):
        if not ticks or place - places[ticks[-1]] >= gap:
            ticks.append(i)
    axes.xaxis.set_major_locator(FixedLocator(values[ticks].tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def is_logarithmic(values: Floats) -> bool:
    """Whether positive values spread so far that equal ratios should have equal distances."""
    return bool(
        len(values) and values.min() > 0 and values.max() >= LOGARITHMIC_FROM * values.min()
    )
