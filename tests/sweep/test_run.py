"""Whole sweeps on the command line: run twice, killed, with failures, with changed settings."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from hydra import initialize_config_dir

from vaelab.cli.hydra_app import CONF
from vaelab.errors import UserError
from vaelab.runs.folder import RunFolder, find_runs
from vaelab.sweep.job import run_job
from vaelab.sweep.jobs import lock_folder, plan

SWEEP = Path(__file__).parents[2] / "scripts" / "sweep.py"


@pytest.fixture
def folder(tmp_path):
    """Of the sweeps called s."""
    return tmp_path / "outputs" / "s" / "sweep"


@pytest.fixture
def sweep(command, finish, tiny):
    """Overrides -> (exit code, output, errors) of a sweep with them."""
    return lambda *overrides: finish(command("-m", *tiny, "name=s", *overrides))


@pytest.fixture
def status(command, finish):
    """Arguments -> (exit code, output, errors) of scripts/sweep.py."""
    return lambda *arguments: finish(command("status", *map(str, arguments), script=SWEEP))


def times(folder):
    """When each job's status was written last."""
    return {run.path.name: run.status_file.stat().st_mtime_ns for run in find_runs(folder)}


def weights(run):
    return run.last_checkpoint.read_bytes()


def test_run_twice_trains_once_and_what_is_new(sweep, folder):
    assert sweep("objective.beta=1,4", "seed=0,1")[0] == 0
    first = times(folder)
    assert len(first) == 4
    code, _, err = sweep("objective.beta=1.0,4,8", "seed=0,1")
    assert code == 0
    assert "6 jobs: 4 finished, 2 planned" in err
    second = times(folder)
    assert len(second) == 6
    assert {name: second[name] for name in first} == first


def test_killed_sweep_resumes_where_it_was(sweep, command, tiny, folder, tmp_path, status):
    """The uninterrupted sweep's weights and curves, bit for bit; nothing twice."""
    overrides = ["objective.beta=1,4", "seed=0,1", "num_steps=200", "val_every_n_steps=50"]
    overrides += ["callbacks.checkpoints.every_n_steps=20", "trainer.log_every_n_steps=50"]
    process = command("-m", *tiny, "name=s", *overrides)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        begun = sorted(folder.glob("*/checkpoints/last.ckpt")) if folder.exists() else []
        if len(begun) == 2:
            break
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    states = [run.status()["state"] for run in find_runs(folder)]
    assert sorted(states) == ["finished", "killed", "planned", "planned"]
    code, out, _ = status(folder)
    assert code == 1
    assert "4 jobs: 1 killed, 2 planned, 1 finished" in out
    assert sweep(*overrides)[0] == 0
    assert status(folder)[0] == 0
    starts = [len(json.loads(run.provenance.read_text())) for run in find_runs(folder)]
    assert sorted(starts) == [1, 1, 1, 2]
    whole = command("-m", *tiny, "name=s", f"output_root={tmp_path / 'whole'}", *overrides)
    assert whole.wait(timeout=120) == 0
    for run in find_runs(folder):
        other = RunFolder(tmp_path / "whole" / "s" / "sweep" / run.path.name)
        assert run.curves.read_bytes() == other.curves.read_bytes()
        ours, theirs = run.read_metrics(), other.read_metrics()
        assert {k: ours[k] for k in ours if k.startswith("val/")} == {
            k: theirs[k] for k in theirs if k.startswith("val/")
        }


def test_failing_job_does_not_stop_the_sweep(sweep, status, folder):
    code, out, err = sweep("objective.beta=-1,1,2")
    assert code == 2
    assert "error: 1 of 3 jobs did not finish" in err
    assert "objective.beta expects a number of at least 0, got -1" in err
    assert "Traceback" not in err
    states = [run.status()["state"] for run in find_runs(folder)]
    assert sorted(states) == ["failed", "finished", "finished"]
    code, out, _ = status(folder.parent)
    assert code == 1
    assert "failed        objective.beta=-1  objective.beta expects a number" in out
    assert "resume with" in out


def test_changed_settings_are_run_again_and_named(command, finish, tiny, folder, tmp_path):
    """The same overrides mean other settings, since a config file was changed meanwhile."""
    file = tmp_path / "conf" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    arguments = ("-m", "--config-dir", "conf", *tiny, "name=s", "experiment=mine", "seed=0,1")
    for lr in ("0.001", "0.002"):
        file.write_text(f"# @package _global_\noptimizer:\n  lr: {lr}\n")
        code, _, err = finish(command(*arguments))
        assert code == 0
    assert "changed since it was started (optimizer.lr: 0.001 -> 0.002)" in err
    assert "2 jobs are run again" in err
    runs = find_runs(folder)
    assert [run.status()["state"] for run in runs] == ["finished"] * 4
    assert len({weights(run) for run in runs}) == 4


def test_two_sweeps_into_one_folder(sweep, folder):
    with lock_folder(folder):
        code, _, err = sweep("seed=0,1")
    assert code == 2
    assert f"a sweep expects a folder to itself, got {Path(*folder.parts[-3:])}" in err
    assert f"on which process {os.getpid()} is working" in err
    assert not list(folder.glob("*/"))
    assert sweep("seed=0,1")[0] == 0


def test_config_changed_under_a_job(compose, tiny, folder):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        (job,) = plan(folder, [[*tiny, "name=s"]], [])
    text = job.folder.config.read_text()
    job.folder.config.write_text(text.replace("num_steps: 12", "num_steps: 13"))
    with pytest.raises(
        UserError, match=r"expects the config it was planned with, got .*config\.yaml"
    ):
        run_job(job.path)
    assert job.state() == "planned"


def test_status_of_no_sweep(status, tmp_path):
    code, _, err = status(tmp_path)
    assert code == 2
    assert err.startswith(f"error: status expects the folder of a sweep, got {tmp_path}")


def test_launcher_of_hydra_is_rejected(sweep):
    code, _, err = sweep("seed=0,1", "hydra/launcher=basic")
    assert code == 2
    assert "expects a launcher of vaelab" in err
    assert "hydra/launcher=serial, local" in err


def test_evaluation_is_part_of_a_job_and_added_later(sweep, folder):
    """metrics@evaluation= is computed after training, or now for what is finished."""
    assert sweep("seed=0,1")[0] == 0
    before = {run.path: weights(run) for run in find_runs(folder)}
    assert sweep("seed=0,1", "metrics@evaluation=[elbo]")[0] == 0
    for run in find_runs(folder):
        assert "metrics/elbo" in run.read_metrics()
        assert weights(run) == before[run.path]
