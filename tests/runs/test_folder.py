"""The run folder: who may write into it, and what it says later."""

import json
import os
import socket
import subprocess
import time
from datetime import datetime, timedelta
from importlib import metadata
from types import SimpleNamespace

import pytest
import torch

from vaelab.errors import UserError
from vaelab.files import write_json
from vaelab.runs.checkpoint import save_checkpoint
from vaelab.runs.folder import RunFolder
from vaelab.runs.heartbeat import heartbeat
from vaelab.runs.provenance import provenance
from vaelab.runs.status import STALE_AFTER_SECONDS, start_time

CONFIG = "seed: 0\n"


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "name" / "time")
    folder.claim(CONFIG)
    return folder


@pytest.fixture(scope="module")
def dead_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def snapshot(folder):
    return {p: p.read_bytes() for p in sorted(folder.path.rglob("*")) if p.is_file()}


def pretend(folder, **status):
    """Another process wrote the status."""
    write_json(folder.status_file, folder.status() | status)


def test_claim_makes_the_folder_and_says_running(folder):
    status = folder.status()
    assert status["state"] == "running"
    assert status["pid"] == os.getpid()


def test_a_second_claim_is_refused_and_touches_nothing(folder):
    folder.add_metrics({"val/elbo": -1.0})
    before = snapshot(folder)
    with pytest.raises(UserError, match=r"already holds one; resume it with resume="):
        RunFolder(folder.path).claim(CONFIG)
    assert snapshot(folder) == before


def test_an_existing_folder_without_a_run_may_be_claimed(tmp_path):
    (tmp_path / "train.log").write_text("hydra was here")
    RunFolder(tmp_path).claim(CONFIG)
    assert (tmp_path / "train.log").read_text() == "hydra was here"


def test_status_keeps_the_facts_it_is_given(folder):
    folder.set_status("failed", step=12, error="boom")
    status = RunFolder(folder.path).status()
    assert (status["state"], status["step"], status["error"]) == ("failed", 12, "boom")
    assert status["time"].startswith("20")


def test_status_of_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected a run folder"):
        RunFolder(tmp_path).status()
    with pytest.raises(UserError, match="expected a run folder"):
        RunFolder(tmp_path / "nowhere").reopen(CONFIG)


def test_a_run_killed_right_after_its_claim_counts_as_failed(folder):
    folder.status_file.write_text("")
    assert folder.status()["state"] == "failed"
    folder.reopen(CONFIG)
    assert folder.status()["state"] == "running"


def test_a_living_process_of_this_host_is_not_robbed(folder):
    pretend(folder, pid=os.getppid(), process_start=start_time(os.getppid()))
    before = snapshot(folder)
    with pytest.raises(UserError, match=f"process {os.getppid()} is still working"):
        folder.reopen(CONFIG)
    assert snapshot(folder) == before


def test_a_process_that_has_the_number_of_a_dead_one_is_not_the_run(folder):
    assert folder.status()["process_start"] == start_time(os.getpid()) > start_time(1)
    pretend(folder, pid=os.getppid(), process_start=start_time(os.getppid()) - 1)
    assert folder.status()["state"] == "killed"
    folder.reopen(CONFIG)
    assert folder.status()["pid"] == os.getpid()


def test_a_run_of_a_system_that_tells_no_beginnings_lives_by_its_number(folder):
    pretend(folder, pid=os.getppid(), process_start=None)
    assert folder.status()["state"] == "running"


def test_a_killed_run_may_be_reopened(folder, dead_pid):
    pretend(folder, pid=dead_pid)
    folder.reopen(CONFIG)
    assert folder.status()["pid"] == os.getpid()


def long_ago(seconds):
    return (datetime.now().astimezone() - timedelta(seconds=seconds)).isoformat()


def test_a_run_on_another_host_lives_while_it_shows_signs_of_life(folder, dead_pid):
    # Its process number says nothing here.
    pretend(folder, pid=dead_pid, host="elsewhere", time=long_ago(STALE_AFTER_SECONDS - 20))
    assert folder.status()["state"] == "running"
    before = snapshot(folder)
    with pytest.raises(UserError, match=rf"process {dead_pid} of elsewhere is still working"):
        folder.reopen(CONFIG)
    assert snapshot(folder) == before


def test_a_run_on_another_host_that_fell_silent_was_killed(folder):
    pretend(folder, pid=os.getppid(), host="elsewhere", time=long_ago(STALE_AFTER_SECONDS + 20))
    assert folder.status()["state"] == "killed"
    folder.reopen(CONFIG)
    assert folder.status()["pid"] == os.getpid()


def test_a_sign_of_life_from_the_future_lasts_no_longer(folder):
    pretend(folder, pid=os.getppid(), host="elsewhere", time=long_ago(20 - STALE_AFTER_SECONDS))
    assert folder.status()["state"] == "running"
    pretend(folder, pid=os.getppid(), host="elsewhere", time=long_ago(-STALE_AFTER_SECONDS - 20))
    assert folder.status()["state"] == "killed"


def test_a_task_that_is_started_again_need_not_wait(folder, monkeypatch):
    monkeypatch.setenv("VAELAB_TASK", "first")
    folder.set_status("running")
    pretend(folder, host="elsewhere")
    monkeypatch.setenv("VAELAB_TASK", "second")
    with pytest.raises(UserError, match="of elsewhere is still working"):
        folder.reopen(CONFIG)
    monkeypatch.setenv("VAELAB_TASK", "first")
    assert folder.status()["state"] == "running"  # what others are told stays the same
    folder.reopen(CONFIG)
    assert folder.status()["host"] == socket.gethostname()


def test_a_run_shows_signs_of_life(folder, monkeypatch):
    monkeypatch.setattr("vaelab.runs.heartbeat.SECONDS", 0.01)
    pretend(folder, time=long_ago(1000))
    with heartbeat(folder) as heart:
        heart.watch(SimpleNamespace(global_step=7, max_steps=20))
        end = time.monotonic() + 10
        while "step" not in folder.status():
            assert time.monotonic() < end
            time.sleep(0.01)
    status = folder.status()
    assert (status["state"], status["step"], status["num_steps"]) == ("running", 7, 20)
    assert datetime.fromisoformat(status["time"]).astimezone().timestamp() > time.time() - 60
    folder.set_status("finished")
    time.sleep(0.05)
    assert folder.status()["state"] == "finished"  # nothing beats after the end


@pytest.mark.parametrize("state", ["finished", "failed", "interrupted"])
def test_a_stopped_run_may_be_reopened_whoever_has_its_number_now(folder, state):
    pretend(folder, state=state, pid=os.getppid())
    folder.reopen(CONFIG)
    assert folder.status()["state"] == "running"


def test_metrics_are_added_to_those_that_are_there(folder):
    assert folder.read_metrics() == {}
    folder.add_metrics({"a": 1, "b": 2})
    folder.add_metrics({"b": 3, "c": 4})
    assert json.loads(folder.metrics.read_text()) == {"a": 1, "b": 3, "c": 4}


def test_a_curve_is_the_rows_of_one_metric(folder):
    folder.curves.write_text(
        "step,metric,value\n10,val/elbo,-5.5\n10,val/elbo_gap,1\n20,val/elbo,-4.25\n30,val/kl,nan\n"
    )
    assert folder.read_curve("val/elbo") == {10: -5.5, 20: -4.25}
    assert folder.read_curve("val/nothing") == {}


@pytest.mark.parametrize("cut", ["20", "20,val/elbo", "20,val/elbo,", "20,val/elbo,-4"])
def test_a_line_cut_short_by_a_kill_is_no_part_of_the_curve(folder, cut):
    folder.curves.write_text(f"step,metric,value\n10,val/elbo,-5.5\n{cut}")
    assert folder.read_curve("val/elbo") == {10: -5.5}


def test_last_step_is_that_of_the_checkpoint_when_first_asked(folder):
    assert RunFolder(folder.path).last_step == 0
    folder.last_checkpoint.parent.mkdir()
    save_checkpoint({"state_dict": {}, "config": {}, "global_step": 30}, folder.last_checkpoint)
    assert folder.last_step == 30
    folder.last_checkpoint.unlink()
    assert folder.last_step == 30


def test_provenance_names_command_versions_and_data():
    facts = provenance(["seed=1"], "abc")
    assert facts["overrides"] == ["seed=1"]
    assert facts["data_checksum"] == "abc"
    assert facts["versions"]["torch"] == metadata.version("torch")
    assert facts["machine"]["num_threads"] == torch.get_num_threads()
    json.dumps(facts)
