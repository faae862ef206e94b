"""The bound in steps and in samples: EM's zig-zag, and estimates of log p(x)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from vaelab.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 2.2  # inches of the axes with their labels
NUM_STEPS = 5  # pairs of E and M steps that are shown


def plot_em_bound(log_p: ArrayLike, after_m_step: ArrayLike, caption: str = "") -> "Figure":
    """The ELBO and log p over the first E and M steps: log p = ELBO + KL(q || p(z|x)).

    Args:
        log_p: (T,) mean log p(x) at the E steps, where the ELBO equals it.
        after_m_step: (T,) the ELBO after the M steps that follow, at the same q.
        caption: what is shown.
    """
    every, after = np.asarray(log_p, float), np.asarray(after_m_step, float)
    first = int(len(every) > 3)  # the first step is so large that the others would be flat
    last = min(first + NUM_STEPS, len(every) - 1)
    e = np.arange(first, last)
    m, now, bound_m, new = e + 0.5, every[e], after[e], every[e + 1]
    figure = style.new_figure(HEIGHT, caption)
    axes = figure.add_subplot()
    style.style_axes(axes, "EM iteration", "nats per image")
    x, bound = np.stack([e, m, e + 1], 1).ravel(), np.stack([now, bound_m, new], 1).ravel()
    axes.plot(x, bound, color=style.LINE_COLOURS[0], linewidth=1.2, marker=".", label="ELBO")
    steps, tops = np.stack([e, m], 1).ravel(), np.stack([now, new], 1).ravel()
    axes.step([*steps, last], [*tops, new[-1]], where="post", color=style.LINE_COLOURS[1],
              linestyle="--", linewidth=1.2, label="log p(x)")  # fmt: skip
    axes.vlines(m, bound_m, new, color="#777777", linewidth=3, alpha=0.5, label="KL(q || p(z|x))")
    axes.legend(frameon=False, fontsize=style.FONT, loc="lower right")
    return figure


def plot_log_p_estimates(
    num_samples: Sequence[int], estimates: Mapping[str, ArrayLike], caption: str = ""
) -> "Figure":
    """Estimates of log p(x) against the number of samples, on a logarithmic axis.

    Args:
        num_samples: (S,).
        estimates: name of the proposal -> (S, 3), the 10 % quantile, mean and 90 % quantile over
            images and repetitions, in nats.
        caption: what is shown.
    """
    figure = style.new_figure(HEIGHT, caption)
    axes = figure.add_subplot()
    style.style_axes(axes, "samples", "estimate of log p(x), nats")
    for i, (name, values) in enumerate(estimates.items()):
        low, mean, high = np.asarray(values, float).T
        colour, dashes = style.LINE_COLOURS[i], style.LINE_STYLES[i]
        axes.fill_between(num_samples, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(num_samples, mean, color=colour, linestyle=dashes, linewidth=1.2, label=name)
    axes.set_xscale("log")
    axes.legend(frameon=False, fontsize=style.FONT, loc="lower right")
    return figure
