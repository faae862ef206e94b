"""A target made small has all its settings, few seeds, few images, and another folder."""

import pytest

from vaelab.reproduction.runs import expand_runs, sweep_folder
from vaelab.reproduction.targets import make_small, smoke_overrides


@pytest.fixture
def small(compose):
    """name -> the config of a target made small."""

    def made(name):
        choice = f"experiment=reproduce/{name}"
        cfg = compose(choice, *smoke_overrides(compose(choice)))
        make_small(cfg)
        return cfg

    return made


def test_steps_and_samples_are_few(small):
    cfg = small("f1")
    assert (cfg.num_steps, cfg.trainer.max_steps, cfg.trainer.limit_val_batches) == (12, 12, 1)
    assert cfg.data.factor_sizes == [3, 3, 8, 8, 8]
    assert cfg.evaluation.mig.num_samples == cfg.evaluation.dci.num_train == 300
    assert cfg.evaluation.mig.num_bins == 20
    assert small("f4").evaluation.mig_sampled.num_images == 300  # null: all of them
    assert small("f4").evaluation.mig_sampled.num_bootstrap == 0


def test_what_is_small_already_stays(small):
    assert small("c9").data.factor_sizes == [1, 6, 1, 32, 32]


def test_every_setting_keeps_two_seeds(small):
    jobs = [tuple(line) for line in expand_runs(small("f1"))]
    betas = (1, 2, 4, 6, 8, 16)
    assert jobs == [(f"objective.beta={beta}", f"seed={seed}") for beta in betas for seed in (0, 1)]
    assert len(expand_runs(small("c4"))) == 4  # two objectives
    assert len(expand_runs(small("c5"))) == 3  # one seed


def test_real_runs_are_never_touched(small, compose):
    real = sweep_folder(compose("experiment=reproduce/f1"))
    cfg = small("f1")
    assert sweep_folder(cfg) != real
    make_small(cfg)
    assert cfg.name == "f1_smoke"
