"""The runs that a target reads of another: exactly those that it asks for, on any hardware.

Nothing is trained: jobs are planned and given numbers.
"""

import json

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from vaelab.cli import hydra_app
from vaelab.errors import UserError
from vaelab.reproduction.runs import add_missing_scores, expand_runs, read_runs_of_others
from vaelab.reproduction.targets import make_small, smoke_overrides
from vaelab.runs.config import to_container
from vaelab.sweep.jobs import plan

CHOICE = "experiment=reproduce/c10"
SEEDS = [str(seed) for seed in range(5)] * 2
BETAS = ["10"] * 5 + ["24"] * 5


@pytest.fixture
def reader(tmp_path):
    """The config of a target that reads the runs of C10."""
    hydra_app.register_resolvers()
    with initialize_config_dir(str(hydra_app.CONF), version_base="1.3"):
        overrides = [CHOICE, f"output_root={tmp_path}", "+target.runs_of=[c10]"]
        yield hydra_compose("train", overrides)


@pytest.fixture
def plan_jobs(reader, tmp_path):
    """Overrides -> the jobs of C10 with them, finished, with scores of `mig`."""

    def make(*overrides, mig=0.5, name="c10", lines=None):
        common = [CHOICE, *overrides]
        cfg = hydra_compose("train", common)
        folder = tmp_path / name / "sweep"
        jobs = plan(folder, [[*common, *line] for line in lines or expand_runs(cfg)], common)
        recorded = {"mig": {"config": to_container(cfg)["evaluation"]["mig"]}}
        for job in jobs:
            job.folder.set_status("finished")
            job.folder.add_metrics({"metrics/mig": mig, "evaluations": recorded})
        return jobs

    return make


def scores(runs):
    return [run.numbers["metrics/mig"] for run in runs]


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["trainer=gpu", "compile=true", "float32_matmul=high", "trainer.precision=bf16-mixed"],
        ["trainer=ddp", "data_root=/elsewhere", "num_threads=3", "logger=[csv]"],
        ["callbacks.checkpoints.every_n_steps=7", "channels_last=false"],
    ],
)
def test_runs_on_any_hardware_are_read_in_order(plan_jobs, reader, overrides):
    plan_jobs(*overrides)
    runs, missing = read_runs_of_others(reader)
    assert missing == []
    assert [run.settings["seed"] for run in runs] == SEEDS
    assert [run.settings["objective.beta"] for run in runs] == BETAS
    assert {run.settings["target"] for run in runs} == {"c10"}


@pytest.mark.parametrize("override", ["num_steps=100", "callbacks=[checkpoints,ema]"])
def test_runs_with_other_settings_are_not_read(plan_jobs, reader, override):
    plan_jobs(override, mig=9)
    runs, (sentence,) = read_runs_of_others(reader)
    assert runs == []
    assert sentence.startswith("C10: 10 of 10 runs are missing in")
    plan_jobs()
    plan_jobs(lines=[["objective=beta_vae", "objective.beta=10", "seed=5"]], mig=9)
    runs, missing = read_runs_of_others(reader)
    assert (scores(runs), missing) == ([0.5] * 10, [])


def test_other_seeds_do_not_hide_missing_ones(plan_jobs, reader):
    lines = [["objective=beta_vae", "objective.beta=10", f"seed={seed}"] for seed in range(4, 14)]
    plan_jobs(lines=lines)
    runs, (sentence,) = read_runs_of_others(reader)
    assert [run.settings["seed"] for run in runs] == ["4"]
    assert "9 of 10 runs are missing" in sentence


def test_unfinished_and_unevaluated_runs_are_missing(plan_jobs, reader):
    failed, unevaluated, otherwise, *_ = plan_jobs()
    failed.folder.set_status("failed", error="x")
    unevaluated.folder.metrics.write_text('{"val/elbo": -1}')
    metrics = json.loads(otherwise.folder.metrics.read_text())
    metrics["evaluations"]["mig"]["config"]["num_bins"] = 3
    otherwise.folder.metrics.write_text(json.dumps(metrics))
    runs, (sentence,) = read_runs_of_others(reader)
    assert [run.settings["seed"] for run in runs] == SEEDS[3:]
    assert "3 of 10 runs are missing" in sentence
    assert sentence.endswith("not finished or not evaluated; train them by reproduce.py c10")


def test_two_runs_that_fit_are_rejected(plan_jobs, reader):
    line = ["objective=beta_vae", "objective.beta=10", "seed=0"]
    plan_jobs()
    (other,) = plan_jobs("trainer=gpu", lines=[line])
    with pytest.raises(UserError, match=rf"one run of {' '.join(line)}, got .*{other.id}.* move"):
        read_runs_of_others(reader)
    other.folder.set_status("interrupted")
    assert read_runs_of_others(reader)[1] == []


def test_small_runs_are_read_by_small_targets(plan_jobs, reader):
    cfg = hydra_compose("train", [CHOICE])
    overrides = smoke_overrides(cfg)
    make_small(cfg)
    plan_jobs(*overrides, name="c10_smoke", lines=expand_runs(cfg))
    assert "train them by reproduce.py c10" in read_runs_of_others(reader)[1][0]
    runs, missing = read_runs_of_others(reader, smoke=True)
    assert [run.settings["seed"] for run in runs] == ["0", "1"] * 2
    assert missing == []


@pytest.mark.parametrize(("trainer", "device"), [("gpu", "cuda"), ("cpu", "cpu")])
def test_missing_scores_are_computed_on_the_device_and_data_of_this_call(
    plan_jobs, reader, monkeypatch, trainer, device
):
    job = plan_jobs()[0]
    calls = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("vaelab.run.evaluate", lambda *_, **options: calls.append(options) or [])
    cfg = hydra_compose("train", [CHOICE, f"trainer={trainer}", "data_root=/new"])
    add_missing_scores(job.folder, cfg)
    assert calls == []
    cfg.evaluation.mig.num_bins = 3
    add_missing_scores(job.folder, cfg)
    assert (calls[0]["device"], calls[0]["data_root"]) == (device, "/new")
