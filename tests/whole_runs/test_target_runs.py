"""The runs of a target are jobs of a sweep: trained once, resumed, and read by other targets."""

import json
import sys

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from vaelab.cli import hydra_app
from vaelab.cli import reproduce as program
from vaelab.errors import UserError
from vaelab.reproduction.reproduce import reproduce
from vaelab.reproduction.runs import read_runs_of_others, sweep_folder, train_runs
from vaelab.runs.folder import find_runs
from vaelab.sweep.launchers import Serial

CAPACITIES = ["5", "15", "25"]


@pytest.fixture
def target(tiny, tmp_path):
    """Overrides -> (config, all overrides) of C8, three runs, in tiny."""
    hydra_app.register_resolvers()
    with initialize_config_dir(str(hydra_app.CONF), version_base="1.3"):

        def make(*more):
            overrides = [*tiny, f"output_root={tmp_path}", "metrics@evaluation=[elbo]"]
            overrides += ["callbacks.checkpoints.every_n_steps=5", *more]
            return hydra_compose("train", ["experiment=reproduce/c8", *overrides]), overrides

        yield make


@pytest.fixture
def measured(target):
    """Overrides -> (runs, failures) of the target."""

    def run(*more):
        cfg, overrides = target(*more)
        return train_runs(cfg, "reproduce/c8", overrides, Serial())

    return run


def statuses(tmp_path):
    return {one.path.name: one.status() for one in find_runs(tmp_path / "c8" / "sweep")}


def test_runs_have_their_settings_metrics_and_last_losses(measured, tmp_path):
    runs, failures = measured()
    assert failures == []
    assert [run.settings["objective.capacity"] for run in runs] == CAPACITIES
    assert {run.settings["target"] for run in runs} == {"c8"}
    for run, folder in zip(runs, sorted_by_capacity(tmp_path), strict=True):
        assert run.numbers["train/kl"] == folder.read_curve("train/kl")[12]
        assert run.numbers["metrics/elbo"] == folder.read_metrics()["metrics/elbo"]
        assert len(run.numbers["scores"]["elbo"]["interval"]) == 2


def sorted_by_capacity(tmp_path):
    folders = find_runs(tmp_path / "c8" / "sweep")
    return sorted(folders, key=lambda one: int(one.path.name.split("-")[1]))


def test_finished_runs_are_left_alone(measured, tmp_path):
    before, _ = measured()
    states = statuses(tmp_path)
    assert {one["state"] for one in states.values()} == {"finished"}
    again, failures = measured("num_threads=2")
    assert (again, failures) == (before, [])
    assert statuses(tmp_path) == states


def test_failed_run_stops_no_other_and_is_resumed(measured, at_step, tmp_path):
    calls = []

    def fail_once():
        calls.append(1)
        if len(calls) == 1:
            raise UserError("the disk is full.")

    at_step(7, fail_once)
    runs, failures = measured()
    assert failures == ["objective.capacity=5 (failed: the disk is full.)"]
    assert [run.settings["objective.capacity"] for run in runs] == CAPACITIES[1:]
    runs, failures = measured()
    assert failures == []
    folder = sorted_by_capacity(tmp_path)[0]
    assert list(folder.read_curve("train/loss")) == [3, 6, 9, 12]
    assert len(json.loads(folder.provenance.read_text())) == 2
    assert len(calls) == 4  # the last one from its checkpoint at step 5, which passes step 7 again


def test_numbers_of_the_others_are_shown_where_a_run_failed(target, at_step, tmp_path):
    calls = []

    def fail_once():
        calls.append(1)
        if len(calls) == 2:
            raise UserError("the disk is full.")

    at_step(7, fail_once)
    cfg, overrides = target()
    outcome = reproduce(cfg, tmp_path / "verdict", "reproduce/c8", overrides, Serial())
    assert (outcome.word, outcome.exit_code) == ("incomplete", 2)
    assert "MISSING  objective.capacity=15 (failed: the disk is full.)" in str(outcome)
    assert [verdict.measured == verdict.measured for verdict in outcome.verdicts] == [1, 0, 1]


def test_score_that_is_missing_is_computed_at_the_next_call(measured, tmp_path):
    before, _ = measured()
    folder = sorted_by_capacity(tmp_path)[1]
    metrics = folder.read_metrics()
    lost = {k: v for k, v in metrics.items() if k not in ("evaluations", "scores", "metrics/elbo")}
    folder.metrics.write_text(json.dumps(lost))
    again, failures = measured()
    assert failures == []
    assert again[1].numbers["metrics/elbo"] == before[1].numbers["metrics/elbo"]


def test_score_is_computed_again_where_its_settings_have_changed(measured):
    before, _ = measured()
    after, _ = measured("evaluation.elbo.num_images=3")
    for one, other in zip(before, after, strict=True):
        assert one.numbers["metrics/elbo"] != other.numbers["metrics/elbo"]


def test_setting_of_the_runs_is_rejected(measured, tmp_path):
    with pytest.raises(UserError, match=r"got objective.capacity=3, which they set themselves"):
        measured("objective.capacity=3")
    assert not (tmp_path / "c8").exists()


def test_runs_made_tiny_are_not_those_of_the_target(target, measured):
    """tests/reproduction/test_shared_runs.py reads those of the target."""
    cfg, _ = target("+target.runs_of=[c8]")
    sentence = (
        f"C8: 3 of 3 runs are missing in {sweep_folder(cfg)}, not finished or not evaluated; train "
        "them by reproduce.py c8"
    )
    assert read_runs_of_others(cfg) == ([], [sentence])
    measured()
    assert read_runs_of_others(cfg) == ([], [sentence])


@pytest.mark.parametrize("arguments", [["--scale", "smoke"], ["hydra/launcher=basic"]])
def test_command(arguments, tiny, tmp_path, monkeypatch, capsys):
    """Small runs are stored beside real ones and not compared; Hydra's launcher is rejected."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["reproduce.py", "c8", *tiny, *arguments])
    if "--scale" in arguments:
        program.main()
        out = capsys.readouterr().out
        assert "| 25 | 1 |" in out
        assert "C8 smoke: 3 numbers of small runs, not compared" in out
        folders = find_runs(tmp_path / "outputs" / "c8_smoke" / "sweep")
        assert {one.status()["state"] for one in folders} == {"finished"}
        assert len(folders) == 3
        return
    with pytest.raises(SystemExit) as stop:
        program.main()
    assert stop.value.code == 2
    assert "expects a launcher of vaelab" in capsys.readouterr().err
    assert not list(tmp_path.rglob("job.json"))


def test_a_run_may_set_its_own_metrics(measured):
    """As in S6C, where the runs of posterior=iaf fit another family than the others."""
    line = "['objective.capacity=5','evaluation.elbo.num_images=3']"
    for _ in range(2):
        (run,), failures = measured(f"target.runs=[{line}]")
        assert failures == []
        assert run.numbers["scores"]["elbo"]["details"]["num_images"] == 3
