"""What the targets of both KLs measure and draw."""

import math

import pytest

from vaelab.reproduction import reproduce as module
from vaelab.reproduction.divergences import (
    normal_fits,
    posteriors_at_fixed_decoder,
)
from vaelab.train import train

FAR = {"far": {"weights": [0.7, 0.3], "means": [-2, 2], "stds": [0.5, 0.5]}}


def test_numbers_of_a_mixture():
    numbers = normal_fits(None, FAR)
    assert numbers["far/forward forward KL"] == pytest.approx(0.7242, abs=1e-3)
    assert numbers["far/reverse reverse KL"] == pytest.approx(-math.log(0.7), abs=1e-3)
    assert numbers["far/local mean"] == pytest.approx(2, abs=1e-3)
    assert numbers["far/num reverse optima"] == 2
    assert numbers["far/gradient"] < 1e-4


def test_figures_of_a_target_are_written_beside_its_verdict(compose, tmp_path, capsys):
    cfg = compose("experiment=reproduce/s5a")
    cfg.target.figures.mixtures = FAR
    module._write_figures(cfg, tmp_path / "run", {})
    names = ["contours.png", "fits.png", "landscape.png"]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == names
    assert capsys.readouterr().out.count(".png") == 3
    module._write_figures(compose("experiment=reproduce/e5"), tmp_path / "none", {})
    assert not (tmp_path / "none").exists()


def test_posteriors_at_a_fixed_decoder(compose, tiny, tmp_path):
    overrides = [*tiny, "objective=vae"]
    train(compose(*overrides), tmp_path, overrides)
    settings = {"num_samples": 4, "batch_size": 16, "num_images": 20, "num_eval_samples": 8}
    before, after = (
        posteriors_at_fixed_decoder(tmp_path, num_steps, lr=1e-2, **settings)
        for num_steps in (0, 40)
    )
    for what in ("entropy", "elbo", "bound", "effective_sample_size"):
        assert before[f"forward/{what}"] == before[f"reverse/{what}"]
        difference = after[f"forward/{what}"] - after[f"reverse/{what}"]
        assert after[f"difference of {what}"] == pytest.approx(difference)
    assert after["reverse/elbo"] > before["reverse/elbo"]
    assert 1 <= after["forward/effective_sample_size"] <= 8
    assert after["reverse/elbo"] < after["reverse/bound"]
