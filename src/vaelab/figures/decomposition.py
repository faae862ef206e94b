"""The parts of the negative ELBO."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vaelab.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RECONSTRUCTION = "reconstruction"
COLOURS = ("#999999", "#0072B2", "#E69F00", "#56B4E9", "#009E73")
HATCHES = ("", "", "////", "....", "xxxx")  # distinguish the parts in greyscale
HEIGHT = 1.5  # inches
BAR = 0.42
MINUS = "\N{MINUS SIGN}"


def plot_elbo_decomposition(parts: Mapping[str, float], caption: str = "") -> "Figure":
    """Reconstruction and KL in one bar, and the parts of the KL in a second, on its own scale.

    Args:
        parts: name -> nats per image: "reconstruction", and the parts that the KL is the sum of,
            such as mutual information, total correlation and dimension-wise KL. Estimates may be
            negative; such a part is drawn to the left of zero.
        caption: what is shown.
    """
    reconstruction = float(parts[RECONSTRUCTION])
    inner = {name: float(value) for name, value in parts.items() if name != RECONSTRUCTION}
    kl = sum(inner.values())
    figure = style.new_figure(HEIGHT, caption)
    outer_axes, inner_axes = figure.subplots(2, 1)
    outer = {RECONSTRUCTION: reconstruction, "KL": kl}
    _stack_bars(outer_axes, outer, COLOURS[:2], HATCHES[:2])
    _stack_bars(inner_axes, inner, COLOURS[2:], HATCHES[2:])
    outer_axes.set_yticks([0], [f"{MINUS}ELBO\n{_number(reconstruction + kl)}"])
    inner_axes.set_yticks([0], [f"KL\n{_number(kl)}"])
    inner_axes.set_xlabel("nats per image", fontsize=style.FONT)
    return figure


def _stack_bars(
    axes: "Axes", parts: Mapping[str, float], colours: tuple[str, ...], hatches: tuple[str, ...]
) -> None:
    """One bar of `parts`, from zero to the right, negative ones to the left, with a legend."""
    style.style_axes(axes)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.axvline(0, color="black", linewidth=0.6)
    right = left = 0.0
    for i, (name, value) in enumerate(parts.items()):
        start = right if value >= 0 else left
        fill: dict[str, Any] = {
            "facecolor": colours[i % len(colours)],
            "hatch": hatches[i % len(hatches)],
        }
        label = f"{name} {_number(value)}"
        axes.barh(0, value, BAR, left=start, edgecolor="white", linewidth=0.6, label=label, **fill)
        right, left = (right + value, left) if value >= 0 else (right, left + value)
    axes.set_ylim(-BAR / 2 - 0.05, BAR / 2 + 0.05)
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "borderaxespad": 0.2}
    shape: dict[str, Any] = {"handlelength": 1.2, "handleheight": 0.9, "handletextpad": 0.4}
    axes.legend(fontsize=style.FONT, frameon=False, **place, **shape)


def _number(value: float) -> str:
    return f"{value:,.4g}".replace("-", MINUS)
