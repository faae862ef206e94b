"""The 1,800 models of the study: in its order, with its settings, in slices that resume."""

import signal
import time
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from vaelab.cli.hydra_app import CONF, register_resolvers
from vaelab.runs.folder import find_runs
from vaelab.sweep.grid import combine
from vaelab.sweep.jobs import read_jobs

REPORT = Path(__file__).parents[2] / "scripts" / "report.py"

# Locatello et al. 2019, table 2 and unsupervised_study_v1: model_num counts through these rows,
# six strengths in each, 50 seeds at each strength.
STUDY = (
    ("beta_vae", "objective.beta", (1, 2, 4, 6, 8, 16), 300_000),
    ("factor_vae", "objective.gamma", (10, 20, 30, 40, 50, 100), 150_000),
    ("dip_vae_i", "objective.lambda_od", (1, 2, 5, 10, 20, 50), 300_000),
    ("dip_vae_ii", "objective.lambda_od", (1, 2, 5, 10, 20, 50), 300_000),
    ("beta_tcvae", "objective.beta", (1, 2, 4, 6, 8, 10), 300_000),
    ("annealed_capacity", "objective.capacity", (5, 10, 25, 50, 75, 100), 300_000),
)
METRICS = {"beta_vae_score", "factor_vae_score", "mig", "dci", "sap", "modularity"}
SMALL = (
    *("data=dsprites_small", "data.image_size=16", "data.factor_sizes=[3,2,4,4,4]"),
    *("data.num_val=50", "model=mlp", "model.hidden=[8]", "num_steps=12", "val_every_n_steps=12"),
    *(
        "metrics@evaluation=[mig]",
        "evaluation.mig.num_samples=100",
        "evaluation.mig.num_repeats=0",
    ),
    *("num_threads=1", "trainer.enable_progress_bar=False", "logger=[csv]"),
)


def setting(model_num):
    """method, its setting, strength, seed and steps of a model of the study."""
    row, rest = divmod(model_num, 300)
    method, key, strengths, steps = STUDY[row]
    return method, key, strengths[rest // 50], rest % 50, steps


@pytest.fixture(scope="module")
def study_jobs():
    """Overrides -> the overrides of every job."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra_compose("train", ["experiment=locatello/study"], return_hydra_config=True)
    sweeper = OmegaConf.to_container(cfg.hydra.sweeper, resolve=False)
    params = sweeper["params"] | {"name": cfg.name}
    return lambda *overrides: combine(overrides, params, sweeper["jobs"])


def test_jobs_are_the_models_of_the_study_in_their_order(study_jobs):
    jobs = [dict(one.split("=", 1) for one in overrides) for overrides in study_jobs()]
    assert len(jobs) == 1800
    for model_num, job in enumerate(jobs):
        method, key, strength, seed, steps = setting(model_num)
        assert job["experiment"] == f"locatello/{method}"
        assert (job[key], job["seed"]) == (str(strength), str(seed))
        assert job.get("num_steps", "300000") == str(steps)
    assert setting(325) == ("factor_vae", "objective.gamma", 10, 25, 150_000)


@pytest.mark.parametrize("model_num", [0, 349, 600, 949, 1499, 1799])
def test_config_of_a_model_is_the_protocol_of_the_study(study_jobs, compose, model_num):
    method, key, strength, seed, steps = setting(model_num)
    cfg = compose(*study_jobs()[model_num])
    assert float(OmegaConf.select(cfg, key)) == strength
    assert cfg.objective == compose(f"experiment=locatello/{method}", f"{key}={strength}").objective
    assert (cfg.seed, cfg.num_steps, cfg.batch_size, cfg.latent_dim) == (seed, steps, 64, 10)
    assert (cfg.replacement, cfg.optimizer.lr, cfg.init) == (True, 1e-4, "glorot")
    assert set(cfg.evaluation) == METRICS
    assert cfg.name == "locatello_study"
    assert set(cfg.callbacks) == {"checkpoints"}


def test_overrides_hold_for_all_jobs(study_jobs, compose):
    lines = study_jobs(*SMALL, "seed=range(2)", "experiment=locatello/study")
    assert len(lines) == 72
    for line in lines[::7]:
        assert set(SMALL) <= set(line)
    cfg = compose(*lines[12])
    assert cfg.objective._target_.endswith("FactorVAE")
    assert (cfg.num_steps, cfg.data.image_size, list(cfg.evaluation)) == (12, 16, ["mig"])


def test_slice_that_is_killed_resumes(command, finish, tmp_path):
    line = ("-m", "experiment=locatello/study", "hydra.sweeper.slice=298:302", *SMALL)
    process = command(*line, f"data_root={tmp_path}")
    sweep = tmp_path / "outputs" / "locatello_study" / "sweep"
    while not any(job.state() == "finished" for job in read_jobs(sweep).values()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = {one.path.name: one.status() for one in find_runs(sweep)}
    assert len(first) == 4
    code, _, err = finish(command(*line, f"data_root={tmp_path}"))
    assert code == 0, err
    jobs = read_jobs(sweep)
    experiments = sorted(one for job in jobs.values() for one in job.own_overrides if "seed" in one)
    assert experiments == ["seed=0", "seed=1", "seed=48", "seed=49"]
    for job in jobs.values():
        assert job.is_complete()
        assert 0 <= job.folder.read_metrics()["metrics/mig"] <= 1
        if "evaluated" in first[job.path.name]:
            assert job.folder.status() == first[job.path.name]
    code, _, err = finish(command(str(sweep.parent), script=REPORT))
    assert code == 0, err
    assert list(sweep.parent.rglob("*.html"))
