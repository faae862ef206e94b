"""The figures of a group of runs: metrics against options, rate and distortion, correlations."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vaelab.report.blocks import Block, Code, Figure, Figures, Paragraph, join
from vaelab.report.formatting import (
    format_axis,
    format_metric,
    format_setting,
    format_value,
)
from vaelab.report.groups import MIN_BOOTSTRAP, Floats, Group, Setting, sort_key
from vaelab.report.options import is_numeric

if TYPE_CHECKING:
    from vaelab.figures import Figure as Drawing
    from vaelab.figures import Line, Panel

DPI = 200
MAX_SERIES = 7  # colours that can be distinguished
MAX_PANELS, MAX_OPTIONS = 18, 4


class Series(NamedTuple):
    """Settings that agree in all options except one, in order of it: a line of a figure.

    pooled: each "setting" holds all runs with one value of that option, whatever the others are.
    """

    name: str
    x: Floats
    settings: Sequence[Setting]
    pooled: bool = False


def find_numeric_options(group: Group) -> list[str]:
    """The options that can be an axis, beta first."""
    return [name for name, values in group.varied.items() if is_numeric(values)]


def split_into_series(group: Group, option: str) -> list[Series]:
    """One series per combination of the other options; if these are many, one pooled series."""
    members = defaultdict(list)
    for setting in group.settings:
        if len(setting.rows) and setting.options[option] is not None:
            others = {k: v for k, v in setting.options.items() if k != option}
            members[format_setting(others)].append(setting)
    pooled = len(members) > MAX_SERIES
    if pooled:
        members = defaultdict(list, {"all settings": _pool(group, option)})
    found = []
    for name, settings in members.items():
        ordered = sorted(settings, key=lambda one: sort_key(one.options[option]))
        x = np.array([float(one.options[option]) for one in ordered])
        found.append(Series(name, x, ordered, pooled))
    return found


def _pool(group: Group, option: str) -> list[Setting]:
    """One setting per value of the option, whatever the others are."""
    values = np.array([np.nan if v is None else float(v) for v in group.varied[option]])
    known = np.unique(values[np.isfinite(values)])
    rows = {value: np.flatnonzero(values == value) for value in known.tolist()}
    return [Setting({option: value}, one, len(one), {}) for value, one in rows.items()]


def plot_metrics(group: Group, prefix: str) -> Iterator[Block]:
    """Every metric against every numeric option."""
    options, metrics = find_numeric_options(group), list(group.columns)
    for option in options[:MAX_OPTIONS]:
        file = re.sub(r"\W", "_", f"{prefix}against_{option}")  # an option is named by its user
        yield Figures([draw_against(group, option, metrics[:MAX_PANELS], file)], "across")
        if any(series.pooled for series in split_into_series(group, option)):
            others = join(", ", [Code(name) for name in group.varied if name != option])
            text = ("One line for all values of ", *others, ", which have many combinations.")
            yield Paragraph(text, "small")
    left_out: list[str] = [Code(name) for name in options[MAX_OPTIONS:]]
    left_out += [format_metric(name) for name in metrics[MAX_PANELS:] if options]
    if left_out:
        yield Paragraph(("Not drawn: ", *join(", ", left_out), "."), "small")


def draw_against(group: Group, option: str, metrics: Sequence[str], name: str) -> Figure:
    """Panels of metrics against an option."""
    from vaelab.figures import plot_metric_vs_setting

    series = split_into_series(group, option)
    panels = [_fill_panel(group, series, metric) for metric in metrics]
    centre = describe_centre(group, series, option)
    bands = describe_bands(group, series, [group.columns[metric] for metric in metrics])
    sentence = f"Lines: {centre}.{bands} Dots: runs."
    alt = f"{', '.join(map(format_metric, metrics))} against {option}."
    return save_figure(
        name, plot_metric_vs_setting(option, panels), f"Metrics against {option}", sentence, alt
    )


def _is_pooled(series: Sequence[Series]) -> bool:
    return any(one.pooled for one in series)


def describe_centre(group: Group, series: Sequence[Series], option: str | None) -> str:
    """What a point of a line is."""
    if _is_pooled(series):
        return f"{group.statistic} of all runs with one {option}, whatever their other options"
    return f"{group.statistic} over the {group.seed_names} of a setting"


def describe_bands(group: Group, series: Sequence[Series], columns: Sequence[Floats]) -> str:
    """What the bands are, of which a setting with one run has none."""
    settings = [setting for one in series for setting in one.settings]
    spreads = [group.spread(column[setting.rows]) for setting in settings for column in columns]
    bands = []
    if any(spread.bounds and not spread.is_range for spread in spreads):
        alike = f"those runs, {group.seed_names} and settings alike"
        over = alike if _is_pooled(series) else group.seed_names
        bands.append(f"95 % bootstrap interval over {over}")
    if any(spread.is_range for spread in spreads):
        fewer = f", with fewer than {MIN_BOOTSTRAP} runs " if bands else ""
        bands.append(f"{fewer}from the smallest to the largest value")
    return f" Bands: {''.join(bands)}." if bands else ""


def _fill_panel(group: Group, series: Sequence[Series], metric: str) -> "Panel":
    from vaelab.figures import Panel

    column = group.columns[metric]
    lines, dots = [], []
    for one in series:
        lines.append(summarize_series(group, one, column, one.name))
        pairs = zip(one.x, one.settings, strict=True)
        dots.append(np.array([(x, y) for x, setting in pairs for y in column[setting.rows]]))
    return Panel(format_axis(metric), lines, dots)


def summarize_series(group: Group, series: Series, column: Floats, name: str) -> "Line":
    """The line of a series: the statistic of each setting, with its bounds."""
    from vaelab.figures import Line

    spreads = [group.spread(column[setting.rows]) for setting in series.settings]
    bounds = [spread.bounds or (spread.value, spread.value) for spread in spreads]
    low, high = np.array(bounds, float).reshape(-1, 2).T
    return Line(name, series.x, np.array([spread.value for spread in spreads]), low, high)


def plot_rate_distortion(group: Group, prefix: str) -> Iterator[Block]:
    """KL against reconstruction, for more than one run."""
    drawn = draw_rate_distortion(group, f"{prefix}rate_distortion")
    if drawn and len(group.records) > 1:
        yield Figures([drawn])


def draw_rate_distortion(group: Group, name: str) -> Figure | None:
    """KL against reconstruction; None where they were not measured."""
    from vaelab import figures

    if not {"kl", "reconstruction"} <= group.columns.keys():
        return None
    option = next(iter(find_numeric_options(group)), None)
    finished = [setting for setting in group.settings if len(setting.rows)]
    series = split_into_series(group, option) if option else [Series("runs", np.zeros(0), finished)]
    curves = []
    for one in series:
        kl, reconstruction = (
            np.array([group.spread(group.columns[n][s.rows]).value for s in one.settings])
            for n in ("kl", "reconstruction")
        )
        curves.append(
            figures.RateDistortionCurve(one.name, reconstruction, kl, _name_points(option, one))
        )
    runs = np.stack([group.columns["reconstruction"], group.columns["kl"]], 1)
    sentence = (
        f"Points: {describe_centre(group, series, option)}. Grey dots: runs. Dashed lines: equal "
        "ELBO, in nats per image; lower and further left is better."
    )
    drawing = figures.plot_rate_distortion(curves, runs)
    return save_figure(name, drawing, "Rate and distortion", sentence, "KL against reconstruction.")


def _name_points(option: str | None, series: Series) -> list[str]:
    if option is None:
        return [format_setting(setting.options) for setting in series.settings]
    return [format_value(option, setting.options[option]) for setting in series.settings]


def draw_correlations(metrics: Sequence[str], rho: Floats, name: str, sentence: str) -> Figure:
    """The heat map of rank correlations."""
    from vaelab.figures import plot_rank_correlation

    drawing = plot_rank_correlation(rho, [format_metric(one) for one in metrics])
    alt = "Rank correlation of every pair of metrics."
    return save_figure(name, drawing, "Rank correlation", sentence, alt)


def draw_variance(metrics: Sequence[str], parts: dict[str, list[float]], name: str) -> Figure:
    """Bars of the shares of the variance of each metric."""
    from vaelab.figures import plot_variance_bars

    drawing = plot_variance_bars([format_metric(one) for one in metrics], parts)
    sentence = (
        "Corrected shares; a negative estimate is drawn as 0, and the others are scaled to add up "
        "to 1."
    )
    alt = "Shares of the variance of each metric."
    return save_figure(name, drawing, "Explained variance", sentence, alt)


def save_figure(name: str, drawing: "Drawing", title: str, sentence: str, alt: str) -> Figure:
    """A drawing as SVG for the page and as PNG for Markdown."""
    from vaelab.figures import to_png, to_svg

    files = {".svg": to_svg(drawing).encode(), ".png": to_png(drawing, DPI)}
    return Figure(name, files, title, sentence, alt)
