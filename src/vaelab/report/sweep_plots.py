"""The figures of a group of runs: numbers against settings, rate and distortion, correlations."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vaelab.report.blocks import Picture
from vaelab.report.groups import Floats, Group
from vaelab.report.labels import cell_name, title, value_name, with_unit
from vaelab.report.series import Trail, numeric_settings, trails

if TYPE_CHECKING:
    from vaelab.figures import Figure, Panel

DPI = 200


def against_setting(group: Group, setting: str, numbers: Sequence[str], name: str) -> Picture:
    """Panels of numbers against a setting."""
    from vaelab.figures import plot_metric_vs_setting

    lines = trails(group, setting)
    panels = [_panel(group, lines, number) for number in numbers]
    what = ", ".join(map(title, numbers))
    over = "those runs, seeds and settings alike" if _pooled(lines) else "seeds"
    sentence = (
        f"Lines: {_centre(group, lines, setting)}. Bands: its 95 % bootstrap interval over {over}. "
        "Dots: runs."
    )
    figure = plot_metric_vs_setting(setting, panels)
    return picture(name, figure, f"Against {setting}", sentence, f"{what} against {setting}.")


def _pooled(lines: Sequence[Trail]) -> bool:
    return any(line.pooled for line in lines)


def _centre(group: Group, lines: Sequence[Trail], setting: str | None) -> str:
    """What a point of a line stands for, in words."""
    if _pooled(lines):
        return f"{group.statistic} of all runs of one {setting}, whatever their other settings"
    return f"{group.statistic} of the runs of a cell"


def _panel(group: Group, lines: Sequence[Trail], number: str) -> "Panel":
    from vaelab.figures import Line, Panel

    column = group.columns[number]
    drawn, dots = [], []
    for line in lines:
        spreads = [group.spread(column[cell.rows]) for cell in line.cells]
        ends = [spread.interval or (spread.value, spread.value) for spread in spreads]
        low, high = np.array(ends, float).reshape(-1, 2).T
        centre = np.array([spread.value for spread in spreads])
        drawn.append(Line(line.name, line.x, centre, low, high))
        pairs = zip(line.x, line.cells, strict=True)
        dots.append(np.array([(x, y) for x, cell in pairs for y in column[cell.rows]]))
    return Panel(with_unit(number), drawn, dots)


def rate_distortion(group: Group, name: str) -> Picture | None:
    """KL against reconstruction; None where they were not measured."""
    from vaelab import figures

    if not {"kl", "reconstruction"} <= group.columns.keys():
        return None
    setting = next(iter(numeric_settings(group)), None)
    lines = (
        trails(group, setting)
        if setting
        else [Trail("runs", np.zeros(0), [cell for cell in group.cells if len(cell.rows)])]
    )
    drawn = []
    for line in lines:
        kl, cost = (
            np.array([group.spread(group.columns[number][c.rows]).value for c in line.cells])
            for number in ("kl", "reconstruction")
        )
        drawn.append(figures.RateDistortionCurve(line.name, cost, kl, _labels(setting, line)))
    runs = np.stack([group.columns["reconstruction"], group.columns["kl"]], 1)
    figure = figures.plot_rate_distortion(drawn, runs)
    sentence = (
        f"Points: {_centre(group, lines, setting)}. Grey dots: runs. Dashed: equal ELBO, in nats "
        "per image; down and to the left is better."
    )
    return picture(name, figure, "Rate and distortion", sentence, "KL against reconstruction.")


def _labels(setting: str | None, line: Trail) -> list[str]:
    if setting is None:
        return [cell_name(cell.settings) for cell in line.cells]
    return [value_name(setting, cell.settings[setting]) for cell in line.cells]


def correlations(names: Sequence[str], rho: Floats, name: str, sentence: str) -> Picture:
    """The heat map of rank correlations."""
    from vaelab.figures import plot_rank_correlation

    figure = plot_rank_correlation(rho, [title(one) for one in names])
    alt = "Rank correlation of every two numbers."
    return picture(name, figure, "Rank correlation", sentence, alt)


def variance(names: Sequence[str], parts: dict[str, list[float]], name: str) -> Picture:
    """Bars of what the variance of each number comes from."""
    from vaelab.figures import plot_variance_bars

    figure = plot_variance_bars([title(one) for one in names], parts)
    sentence = "Corrected shares; what is estimated below 0 is drawn as 0, the rest scaled."
    alt = "Shares of the variance of each number."
    return picture(name, figure, "Where the variance comes from", sentence, alt)


def picture(name: str, figure: "Figure", heading: str, sentence: str, alt: str) -> Picture:
    """A figure as the page and Markdown need it."""
    from vaelab.figures import to_png, to_svg

    files: dict[str, Any] = {".svg": to_svg(figure).encode(), ".png": to_png(figure, DPI)}
    return Picture(name, files, heading, sentence, alt)
