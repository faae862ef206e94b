"""The runs that a target reads of another: exactly those that the other asks for, on any machine.

Nothing is trained: jobs are planned and given numbers.
"""

import json

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from vaelab.cli import hydra_app as commands
from vaelab.errors import UserError
from vaelab.reproduction.runs import combinations, complete
from vaelab.reproduction.scale import make_small, smoke_words
from vaelab.reproduction.shared_runs import others_runs
from vaelab.runs.config import to_container
from vaelab.sweep.jobs import plan

CHOICE = "experiment=reproduce/c10"
SEEDS = [str(seed) for seed in range(5)] * 2
BETAS = ["10"] * 5 + ["24"] * 5


@pytest.fixture
def reader(tmp_path):
    """The config of a target that reads the runs of C10."""
    commands.register_resolvers()
    with initialize_config_dir(str(commands.CONF), version_base="1.3"):
        words = [CHOICE, f"output_root={tmp_path}", "+target.of=[c10]"]
        yield hydra_compose("train", words)


@pytest.fixture
def lay(reader, tmp_path):
    """Words -> the jobs of C10 with them, finished, with scores of `mig`."""

    def laid(*typed, mig=0.5, name="c10", lines=None):
        common = [CHOICE, *typed]
        cfg = hydra_compose("train", common)
        folder = tmp_path / name / "sweep"
        jobs = plan(folder, [[*common, *line] for line in lines or combinations(cfg)], common)
        recorded = {"mig": {"config": to_container(cfg)["evaluation"]["mig"]}}
        for job in jobs:
            job.folder.set_status("finished")
            job.folder.add_metrics({"metrics/mig": mig, "evaluations": recorded})
        return jobs

    return laid


def scores(runs):
    return [run.numbers["metrics/mig"] for run in runs]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["trainer=gpu", "compile=true", "float32_matmul=high", "trainer.precision=bf16-mixed"],
        ["trainer=ddp", "data_root=/elsewhere", "num_threads=3", "logger=[csv]"],
        ["callbacks.checkpoints.every_n_steps=7", "channels_last=false"],
    ],
)
def test_runs_of_any_machine_are_read_in_order(lay, reader, words):
    lay(*words)
    runs, missing = others_runs(reader)
    assert missing == []
    assert [run.settings["seed"] for run in runs] == SEEDS
    assert [run.settings["objective.beta"] for run in runs] == BETAS
    assert {run.settings["target"] for run in runs} == {"c10"}


@pytest.mark.parametrize("word", ["num_steps=100", "callbacks=[checkpoints,ema]"])
def test_what_was_tried_is_not_read(lay, reader, word):
    lay(word, mig=9)
    runs, (sentence,) = others_runs(reader)
    assert runs == []
    assert sentence.startswith("C10: 10 of 10 runs are missing in")
    lay()
    lay(lines=[["objective=beta_vae", "objective.beta=10", "seed=5"]], mig=9)
    runs, missing = others_runs(reader)
    assert (scores(runs), missing) == ([0.5] * 10, [])


def test_other_seeds_do_not_hide_missing_ones(lay, reader):
    lines = [["objective=beta_vae", "objective.beta=10", f"seed={seed}"] for seed in range(4, 14)]
    lay(lines=lines)
    runs, (sentence,) = others_runs(reader)
    assert [run.settings["seed"] for run in runs] == ["4"]
    assert "9 of 10 runs are missing" in sentence


def test_unfinished_and_unscored_runs_are_missing(lay, reader):
    failed, unscored, otherwise, *_ = lay()
    failed.folder.set_status("failed", error="x")
    unscored.folder.metrics.write_text('{"val/elbo": -1}')
    metrics = json.loads(otherwise.folder.metrics.read_text())
    metrics["evaluations"]["mig"]["config"]["num_bins"] = 3
    otherwise.folder.metrics.write_text(json.dumps(metrics))
    runs, (sentence,) = others_runs(reader)
    assert [run.settings["seed"] for run in runs] == SEEDS[3:]
    assert "3 of 10 runs are missing" in sentence
    assert sentence.endswith("not finished or not scored; train them by reproduce.py c10")


def test_two_runs_of_one_kind_are_refused(lay, reader):
    line = ["objective=beta_vae", "objective.beta=10", "seed=0"]
    lay()
    (other,) = lay("trainer=gpu", lines=[line])
    with pytest.raises(UserError, match=rf"one run of {' '.join(line)}, got .*{other.id}.* move"):
        others_runs(reader)
    other.folder.set_status("interrupted")
    assert others_runs(reader)[1] == []


def test_small_runs_are_read_by_small_targets(lay, reader):
    cfg = hydra_compose("train", [CHOICE])
    words = smoke_words(cfg)
    make_small(cfg)
    lay(*words, name="c10_smoke", lines=combinations(cfg))
    assert "train them by reproduce.py c10" in others_runs(reader)[1][0]
    runs, missing = others_runs(reader, smoke=True)
    assert [run.settings["seed"] for run in runs] == ["0", "1"] * 2
    assert missing == []


@pytest.mark.parametrize(("trainer", "device"), [("gpu", "cuda"), ("cpu", "cpu")])
def test_lacking_scores_are_computed_on_the_device_and_data_of_this_call(
    lay, reader, monkeypatch, trainer, device
):
    job = lay()[0]
    asked = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("vaelab.run.evaluate", lambda *_, **options: asked.append(options) or [])
    cfg = hydra_compose("train", [CHOICE, f"trainer={trainer}", "data_root=/new"])
    complete(job.folder, cfg)
    assert asked == []
    cfg.evaluation.mig.num_bins = 3
    complete(job.folder, cfg)
    assert (asked[0]["device"], asked[0]["data_root"]) == (device, "/new")
