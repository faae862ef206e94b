"""The inference gap, the way of a fit to its optimum, and a posterior with its approximations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from vaelab.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAR = 0.3  # inches, the height of a row
COLOURS = ("#999999", "#0072B2", "#E69F00")
HATCHES = ("", "", "////")  # distinguish the parts in greyscale
TRACES_HEIGHT = 2.1  # inches
GRID_HEIGHT = 2.9
SHARES = (0.5, 0.95)  # of the mass of a distribution, within its contours
MINUS = "\N{MINUS SIGN}"


def plot_inference_gap(
    bounds: Mapping[str, tuple[float, float, float]], caption: str = ""
) -> "Figure":
    """One bar per model from its ELBO over the amortization and approximation gaps to log p(x).

    Args:
        bounds: label -> ELBO, L[q*] and log p(x), in nats per image.
        caption: what is shown.
    """
    values = np.array(list(bounds.values()), float)
    elbos, gaps = values[:, 0], np.diff(values, axis=1)
    figure = style.new_figure(max(len(values), 2) * BAR + 0.55, caption, legend_rows=2)
    axes = figure.add_subplot()
    room = max(float((values[:, 2] - elbos).max()), 1e-3)
    left = float(elbos.min()) - 0.5 * room
    widths = [elbos - left, gaps[:, 0], gaps[:, 1]]
    names = ("ELBO", "amortization gap", "approximation gap")
    starts = np.full(len(values), left)
    for i, (name, width) in enumerate(zip(names, widths, strict=True)):
        fill: dict[str, Any] = {"facecolor": COLOURS[i], "hatch": HATCHES[i]}
        axes.barh(
            range(len(values)), width, 0.6, left=starts, edgecolor="white", linewidth=0.5,
            label=name, **fill,
        )  # fmt: skip
        starts = starts + width
    style.style_axes(axes, "nats per image")
    axes.set_yticks(range(len(values)), list(bounds))
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlim(left, float(values[:, 2].max()) + 0.45 * room)
    axes.tick_params(axis="y", length=0)
    for row, log_p in enumerate(values[:, 2]):
        text = f" log p(x) {log_p:,.2f}".replace("-", MINUS)
        axes.text(log_p, row, text, va="center", ha="left", fontsize=style.FONT - 0.5)
    style.add_legend(figure, 2)
    return figure


def plot_inference_traces(
    traces: Mapping[str, ArrayLike], levels: Mapping[str, float], caption: str = ""
) -> "Figure":
    """The ELBO of one image over the steps of a fit, with levels to compare it with.

    Args:
        traces: start -> ELBO (num_steps,), in nats.
        levels: label -> nats, drawn as horizontal lines.
        caption: what is shown.
    """
    figure = style.new_figure(
        TRACES_HEIGHT, caption, legend_rows=-(-(len(traces) + len(levels)) // 2)
    )
    axes = figure.add_subplot()
    style.style_axes(axes, "step of the fit", "ELBO (nats)")
    drawn = {name: np.asarray(values, float) for name, values in traces.items()}
    colours = iter(style.LINE_COLOURS)
    for name, values in drawn.items():
        axes.plot(np.arange(1, len(values) + 1), values, linewidth=0.9, color=next(colours),
                  label=name)  # fmt: skip
    for i, (name, level) in enumerate(levels.items()):
        line = style.LINE_STYLES[1 + i % 3]
        axes.axhline(level, color=next(colours), linestyle=line, linewidth=1.0, label=name)
    _show_the_end(axes, list(drawn.values()), list(levels.values()))
    style.add_legend(figure, 2)
    return figure


def plot_posterior_grid(
    x: ArrayLike,
    y: ArrayLike,
    density: ArrayLike,
    approximations: Mapping[str, ArrayLike],
    caption: str = "",
) -> "Figure":
    """The density of p(z|x) over two latents, with contours of approximations of it.

    The contours of a density hold 50 % and 95 % of its mass.

    Args:
        x: (X,) evenly spaced values of z0.
        y: (Y,) evenly spaced values of z1.
        density: (Y, X) of p(z|x).
        approximations: label -> density (Y, X).
        caption: what is shown.
    """
    from matplotlib.lines import Line2D

    xs, ys, exact = np.asarray(x, float), np.asarray(y, float), np.asarray(density, float)
    figure = style.new_figure(GRID_HEIGHT, caption, legend_rows=-(-len(approximations) // 2))
    axes = figure.add_subplot()
    half = (xs[1] - xs[0]) / 2, (ys[1] - ys[0]) / 2
    extent = (xs[0] - half[0], xs[-1] + half[0], ys[0] - half[1], ys[-1] + half[1])
    image = axes.imshow(exact, origin="lower", extent=extent, aspect="auto", cmap="Greys", vmin=0)
    handles = []
    for i, (name, values) in enumerate(approximations.items()):
        array = np.asarray(values, float)
        colour = style.LINE_COLOURS[i % len(style.LINE_COLOURS)]
        dashes: Any = style.LINE_STYLES[i % len(style.LINE_STYLES)]
        levels = sorted({density_level(array, share) for share in SHARES})
        axes.contour(xs, ys, array, levels, colors=colour, linestyles=dashes, linewidths=1.0)
        handles.append(Line2D([], [], color=colour, linestyle=dashes, linewidth=1.0, label=name))
    style.style_axes(axes, "z0", "z1")
    style.add_colour_bar(axes, image, "p(z|x)")
    style.add_legend(figure, 2, handles=handles)
    return figure


def density_level(density: ArrayLike, share: float) -> float:
    """The density above which a share of the mass on an even grid is."""
    falling = np.sort(np.asarray(density, float).ravel())[::-1]
    mass = falling.cumsum()
    return float(falling[np.searchsorted(mass, share * mass[-1])])


def _show_the_end(axes: "Axes", traces: list[np.ndarray], levels: list[float]) -> None:
    """Limits that show the second half of the traces and all levels; a bad start runs out below."""
    late = np.concatenate([trace[len(trace) // 2 :] for trace in traces] + [np.array(levels)])
    late = late[np.isfinite(late)]
    if not len(late):
        return
    low, high = float(late.min()), float(late.max())
    room = max(high - low, 1e-3)
    axes.set_ylim(low - 0.6 * room, high + 0.1 * room)
