"""Curves of a run: what is drawn of the start of training, and which latent is which."""

import numpy as np
import pytest

from vaelab.report.run_figures import KNOWN, _crop, _find_start, show_curves
from vaelab.report.run_record import read_run
from vaelab.visualize.model import FIGURES

STEPS = list(range(0, 1001, 10))


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([1000.0 if s < 50 else 10 + s / 1000 for s in STEPS], 50),
        ([100 - s / 20 for s in STEPS], 0),
        ([7.0 for s in STEPS], 0),
        ([np.nan if s < 50 else float(s) for s in STEPS], 0),
    ],
    ids=["transient", "straight", "constant", "nan"],
)
def test_start_of_training(values, step):
    """It is left out only where it would flatten everything after it."""
    assert _find_start({"train": (STEPS, values)}) == step


def test_short_curves_are_drawn_whole():
    curves = {"train": (STEPS, [1000.0, *[1.0] * 100]), "validation": ([1000], [1.5])}
    assert _find_start(curves) == 0


def test_kept_points():
    assert _crop(20, ([10, 20, 30], [1.0, 2.0, 3.0])) == ([20, 30], [2.0, 3.0])


def test_latents_are_named_by_their_index(write_run):
    """Of more than ten, z10 does not follow z1."""
    folder = write_run("model=mlp")
    lines = [f"{step},val/kl_latent/{i},{i / 8}" for step in (5, 10) for i in range(12)]
    folder.curves.write_text("\n".join(["step,metric,value", *lines, ""]))
    (block,) = show_curves(read_run(folder))
    values = ", ".join(f"z{i} {i / 8:.4g}" for i in range(12))
    assert block.members[-1].alt.endswith(f"last values: {values}.")


def test_every_figure_of_a_model_has_a_title_and_a_sentence():
    assert set(FIGURES) <= KNOWN.keys()
    assert all(title and sentence for title, sentence in KNOWN.values())
