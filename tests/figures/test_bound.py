"""The zig-zag of EM and estimates of log p: what is drawn where."""

import numpy as np

from vaelab.figures import plot_em_bound, plot_log_p_estimates


def test_the_bound_touches_log_p_at_every_e_step():
    log_p = np.array([-10.0, -6, -5, -4.5, -4.2, -4.1])
    after = np.array([-7.0, -5.6, -4.8, -4.3, -4.15, -4.1])
    axes = plot_em_bound(log_p, after, "EM").axes[0]
    bound, top = axes.get_lines()
    x, y = bound.get_data()
    at = dict(zip(x.tolist(), y.tolist(), strict=True))
    assert [at[i] for i in (1, 2, 3, 4, 5)] == log_p[1:].tolist()
    assert [at[i + 0.5] for i in (1, 2, 3, 4)] == after[1:5].tolist()
    assert top.get_data()[1][-1] == log_p[-1]
    (bars,) = axes.collections  # the KL, from the bound after an M step to the new log p
    ends = [sorted(path.vertices[:, 1]) for path in bars.get_paths()]
    np.testing.assert_allclose(ends, np.stack([after[1:5], log_p[2:]], 1))


def test_estimates_against_samples():
    rows = [(-3, -2, -1), (-2.5, -1.8, -1)]
    axes = plot_log_p_estimates([1, 10], {"prior": rows, "q": rows}, "log p").axes[0]
    assert axes.get_xscale() == "log"
    assert [line.get_ydata().tolist() for line in axes.get_lines()] == [[-2, -1.8]] * 2
