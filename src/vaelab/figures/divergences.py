"""Forward and reverse KL: densities with their fits, contours, and divergences over the mean."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vaelab.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 1.75  # inches, the height of a row of panels
LANDSCAPE = 2.4
GREY, DARK = "#D9D9D9", "#8C8C8C"  # of the target density
LEVELS = (0.02, 0.1, 0.25, 0.5, 0.75, 1.0)  # of the target's largest density
DEVIATIONS = (2.0, 1.0)  # from the mean of a normal, where its contours are


class FitPanel(NamedTuple):
    """A density and what was fitted to it: its values and those of each fit, by the fit's name.

    Attributes:
        title: of the panel.
        target: (N,) over a line, or (H, W) over a plane.
        fits: name -> density, of the same shape.
        notes: name -> what to write about the fit.
    """

    title: str
    target: ArrayLike
    fits: Mapping[str, ArrayLike]
    notes: Mapping[str, str]


def plot_density_fits(x: ArrayLike, panels: Sequence[FitPanel], caption: str = "") -> "Figure":
    """Densities on a line, grey, with a curve per fit; one panel per density.

    Args:
        x: (N,), where the densities are evaluated.
        panels: up to four; fits of the same name have the same colour.
        caption: what is shown.
    """
    places, names = np.asarray(x, float), _names(panels)
    figure = style.new_figure(
        PANEL + _notes_height(panels), caption, width=style.WIDE, legend_rows=1
    )
    shown = figure.subplots(1, len(panels), squeeze=False, sharey=False)[0]
    for axes, panel in zip(shown, panels, strict=True):
        target = np.asarray(panel.target, float)
        axes.fill_between(places, target, color=GREY, linewidth=0, label="p")
        axes.plot(places, target, color=DARK, linewidth=0.7)
        for name, density in panel.fits.items():
            axes.plot(places, np.asarray(density, float), label=name, **_line(names, name))
        style.style_axes(axes, "x", "density" if axes is shown[0] else "")
        axes.set_xlim(places[0], places[-1])
        axes.set_ylim(bottom=0)
        _write_notes(axes, panel, names)
    _add_legend(figure, names)
    return figure


def plot_contour_fits(
    x: ArrayLike, y: ArrayLike, panels: Sequence[FitPanel], caption: str = ""
) -> "Figure":
    """Densities on a plane, shaded, with the contours of each normal at 1 and 2 deviations.

    Args:
        x, y: (W,) and (H,), the grid of the densities (H, W).
        panels: up to four; fits of the same name have the same colour.
        caption: what is shown.
    """
    across, up, names = np.asarray(x, float), np.asarray(y, float), _names(panels)
    height = (style.WIDE - 0.6) / len(panels) * np.ptp(up) / np.ptp(across)
    figure = style.new_figure(
        height + 0.35 + _notes_height(panels), caption, width=style.WIDE, legend_rows=1
    )
    shown = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, panel in zip(shown, panels, strict=True):
        target = np.asarray(panel.target, float)
        levels = [level * target.max() for level in LEVELS]
        axes.contourf(across, up, target, levels, cmap="Greys", vmin=-0.2 * levels[-1],
                      vmax=1.6 * levels[-1])  # fmt: skip
        for name, density in panel.fits.items():
            values, line = np.asarray(density, float), _line(names, name)
            axes.contour(
                across, up, values, [values.max() * np.exp(-0.5 * d**2) for d in DEVIATIONS],
                colors=line["color"], linestyles=line["linestyle"], linewidths=line["linewidth"],
            )  # fmt: skip
        style.style_axes(axes, "x0", "x1" if axes is shown[0] else "")
        axes.set_aspect("equal")
        _write_notes(axes, panel, names)
    _add_legend(figure, names)
    return figure


def plot_divergence_landscape(
    means: ArrayLike,
    target: ArrayLike,
    divergences: Mapping[str, ArrayLike],
    minima: Mapping[str, Sequence[tuple[float, float]]],
    caption: str = "",
) -> "Figure":
    """Divergences over the mean of q, with their minima, above the density that q is fitted to.

    Args:
        means: (N,), of q.
        target: (N,), the density p at the same places.
        divergences: name -> (N,) in nats.
        minima: name -> (mean, divergence) of each minimum, marked and labelled.
        caption: what is shown.
    """
    x, names = np.asarray(means, float), list(divergences)
    figure = style.new_figure(LANDSCAPE, caption, legend_rows=-(-(len(names) + 1) // 2))
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    for name, values in divergences.items():
        line = _line(names, name)
        axes.plot(x, np.asarray(values, float), label=name, **line)
        for mean, value in minima.get(name, ()):
            axes.plot(mean, value, marker="o", ms=3.5, color=line["color"], clip_on=False)
            label: dict[str, Any] = {"textcoords": "offset points", "xytext": (0, -9)}
            axes.annotate(
                f"{value:.3f}", (mean, value), color=line["color"], ha="center",
                fontsize=style.FONT, **label,
            )  # fmt: skip
    largest = max(value for points in minima.values() for _, value in points)
    axes.set_ylim(-0.25 * largest, 3.0 * largest)
    style.style_axes(axes, "", "divergence (nats)")
    density = np.asarray(target, float)
    below.fill_between(x, density, color=GREY, linewidth=0)
    below.plot(x, density, color=DARK, linewidth=0.7)
    below.set_ylim(bottom=0)
    below.set_yticks([])
    style.style_axes(below, "mean of q", "p")
    _add_legend(figure, names, columns=2)
    return figure


def _names(panels: Sequence[FitPanel]) -> list[str]:
    return list(dict.fromkeys(name for panel in panels for name in panel.fits))


def _line(names: Sequence[str], name: str) -> dict[str, Any]:
    i = names.index(name)
    return {
        "color": style.LINE_COLOURS[i % len(style.LINE_COLOURS)],
        "linestyle": style.LINE_STYLES[i % len(style.LINE_STYLES)],
        "linewidth": 1.2,
    }


def _notes_height(panels: Sequence[FitPanel]) -> float:
    return (1 + max(len(panel.notes) for panel in panels)) * style.LINE


def _write_notes(axes: "Axes", panel: FitPanel, names: Sequence[str]) -> None:
    """Title and notes above the axes, each note in the colour of its fit."""
    lines = [
        (panel.title, "black"),
        *((t, _line(names, n)["color"]) for n, t in panel.notes.items()),
    ]
    step = 72 * style.LINE
    for i, (text, colour) in enumerate(reversed(lines)):
        axes.annotate(
            text, (0, 1), xycoords="axes fraction", xytext=(0, 2 + i * step), color=colour,
            textcoords="offset points", fontsize=style.FONT, annotation_clip=False,
        )  # fmt: skip


def _add_legend(figure: "Figure", names: Sequence[str], columns: int | None = None) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(facecolor=GREY, edgecolor=DARK, linewidth=0.7, label="p")]
    handles += [Line2D([], [], label=name, **_line(names, name)) for name in names]
    style.add_legend(figure, columns or len(handles), handles=handles)
