"""Figures of the inference gap show the numbers that they are given."""

import numpy as np
import pytest

from vaelab import figures
from vaelab.figures.inference import density_level


def test_bars_end_at_the_bounds():
    (axes,) = figures.plot_inference_gap({"a": (-10, -9, -8.5), "b": (-12, -9, -9)}).axes
    ends = {name: [] for name in ("ELBO", "amortization gap", "approximation gap")}
    for container in axes.containers:
        ends[container.get_label()] = [bar.get_x() + bar.get_width() for bar in container]
    assert ends["ELBO"] == pytest.approx([-10, -12])
    assert ends["amortization gap"] == pytest.approx([-9, -9])
    assert ends["approximation gap"] == pytest.approx([-8.5, -9])
    assert [text.get_text().strip() for text in axes.texts] == [
        "log p(x) \N{MINUS SIGN}8.50",
        "log p(x) \N{MINUS SIGN}9.00",
    ]


def test_traces_show_the_end_and_not_a_bad_start():
    traces = {"from the prior": np.linspace(-600, -80, 5), "from the encoder": np.full(5, -81.0)}
    (axes,) = figures.plot_inference_traces(traces, {"level": -70.0}).axes
    low, high = axes.get_ylim()
    assert low > -600
    assert high > -70
    assert len(axes.lines) == 3


def test_contours_hold_the_shares_of_a_normal():
    axis = np.linspace(-6, 6, 401)
    density = np.exp(-0.5 * np.add.outer(axis**2, axis**2))
    for share in (0.5, 0.95):  # of a standard normal in two dimensions: P(r^2 < -2 ln(1 - share))
        assert density_level(density, share) == pytest.approx(1 - share, rel=0.02)
