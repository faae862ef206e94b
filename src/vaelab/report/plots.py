"""Which figures a group of runs gets, and what is said beside them."""

from collections.abc import Iterator

from vaelab.report import sweep_plots
from vaelab.report.blocks import Block, Pictures, Words, quoted
from vaelab.report.groups import Group
from vaelab.report.labels import title
from vaelab.report.series import numeric_settings, trails

MAX_PANELS, MAX_SETTINGS = 18, 4


def plots(group: Group, prefix: str) -> Iterator[Block]:
    """Every number against every numeric setting."""
    settings, numbers = numeric_settings(group), list(group.columns)
    for setting in settings[:MAX_SETTINGS]:
        file = f"{prefix}against_{setting.replace('.', '_')}"
        drawn = sweep_plots.against_setting(group, setting, numbers[:MAX_PANELS], file)
        yield Pictures([drawn], wide=True)
        if any(line.pooled for line in trails(group, setting)):
            others = ", ".join(quoted(name) for name in group.varied if name != setting)
            yield Words(f"One line over all values of {others}, which are too many.", "small")
    left_out = [quoted(name) for name in settings[MAX_SETTINGS:]]
    left_out += map(title, numbers[MAX_PANELS:]) if settings else ()
    if left_out:
        yield Words(f"Not plotted: {', '.join(left_out)}.", "small")


def rate_distortion(group: Group, prefix: str) -> Iterator[Block]:
    """KL against reconstruction."""
    drawn = sweep_plots.rate_distortion(group, f"{prefix}rate_distortion")
    if drawn and len(group.records) > 1:
        yield Pictures([drawn])
