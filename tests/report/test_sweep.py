"""The page of several runs: what differs, who is best, what was left out."""

import re

import numpy as np
import pytest

from vaelab.report import sweep, write_report
from vaelab.report.scatter import scatter
from vaelab.run_folder import RunFolder

from .conftest import SCORES, final_metrics
from .test_page import Document


@pytest.fixture
def several(write_run, tmp_path):
    """Three finished runs of other beta and width, and a failed one."""
    for number, (beta, width, elbo) in enumerate([(1, 8, -30.0), (4, 16, -20.0), (16, 8, -40.0)]):
        words = ("model=mlp", f"objective.beta={beta}", f"model.hidden=[{width}]")
        metrics = final_metrics(elbo) | SCORES | {"metrics/mig": 0.1 * number}
        write_run(*words, name=f"sweep/time/{number}", metrics=metrics)
    failed = write_run("model=mlp", name="sweep/time/3", state="failed", error="ValueError: it")
    failed.metrics.unlink()
    return tmp_path / "sweep"


def text_of(folder, **options):
    return Document(write_report(folder, **options).page.read_text(encoding="utf-8"))


def test_table(several):
    text = text_of(several).text
    assert "4 runs: 3 finished, 1 failed." in text
    # model.hidden and the widths interpolated from it are one column.
    assert "They differ in model.hidden , objective.beta ." in text
    assert "time/3 failed: ValueError: it" in text
    assert "time/1 finished [16] 4 \u221220 18.75 2.750 2 0.100 [0.100, 0.150] 0.500" in text


def test_the_best_run_has_the_explorer(several):
    document = text_of(several)
    assert "The largest validation ELBO, \u221220 nats per image, has time/1" in document.text
    assert ("h2", "Latent explorer of time/1") in document.headings
    assert ("h2", "Latent explorer of time/1") not in text_of(several, with_explorer=False).headings


def test_nan_is_never_best(several):
    RunFolder(several / "time" / "0").add_metrics({"val/elbo": float("nan")})
    assert "has time/1" in text_of(several, with_explorer=False).text


def test_figures_beyond_the_budget_are_named(several, monkeypatch):
    assert "Left out" not in text_of(several, with_explorer=False).text
    monkeypatch.setattr(sweep, "FIGURE_BYTES", 100)  # one of these PNG has 70 bytes
    document = text_of(several, with_explorer=False)
    assert len(document.images) == 1
    assert document.text.count("Left out to keep this page small") == 4
    assert "time/3/figures/zebra.png" in document.text


def test_dots_lie_where_the_numbers_are():
    svg = scatter([1, 10, 100], [0.0, 1.0, np.nan], ["a", "b", "c"], "beta", "mig")
    assert svg.count("<circle") == 2
    svg = scatter([1, 10, 100], [0.0, 1.0, 0.5], ["a", "b", "c"], "beta", "mig")
    circles = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
    x, y = np.array(circles, float).T
    assert "beta (log)" in svg
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.11)  # tenfold each, printed to 0.1
    assert y[1] < y[2] < y[0]  # downwards is positive
    assert y[2] == pytest.approx((y[0] + y[1]) / 2, abs=0.11)


def test_intervals_are_bars_inside_the_plot():
    svg = scatter([1, 2], [0.5, 0.6], ["a", "b"], "x", "y", [(0.1, 0.9), None])
    assert svg.count('class="bar"') == 1
    assert "0.100" in svg
    assert "0.900" in svg
    assert scatter([1.0], [float("nan")], ["a"], "x", "y") == ""


def test_runs_on_different_data_have_no_best_and_one_column_for_it(write_run, tmp_path):
    for number, data in enumerate(("mnist", "dsprites")):
        write_run("model=mlp", f"data={data}", name=f"mixed/{number}", metrics=final_metrics(-30.0))
    document = text_of(tmp_path / "mixed")
    assert "They differ in data ." in document.text
    assert "Their ELBOs don't compare" in document.text
    assert not [title for _, title in document.headings if "explorer" in title]
    assert "What the settings do" not in [title for _, title in document.headings]
