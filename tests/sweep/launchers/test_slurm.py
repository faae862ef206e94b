"""Sweeps on a real SLURM cluster of one node: killed, preempted, out of memory or of time."""

import json
import re
import signal
import subprocess
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import torch
from hydra import initialize_config_dir
from torch.utils._pytree import tree_flatten

from vaelab.cli.hydra_app import CONF
from vaelab.errors import UserError
from vaelab.runs.folder import RunFolder, find_runs
from vaelab.sweep.jobs import plan
from vaelab.sweep.launchers.slurm import Slurm
from vaelab.train import train

from .slurm_cluster import asked, cluster, missing, until

on_slurm = pytest.mark.skipif(missing() is not None, reason=str(missing()))
Quick = partial(Slurm, poll_seconds=0.3, mem_gb=1)
LONG = ("num_steps=3000", "val_every_n_steps=1000", "trainer.log_every_n_steps=10")
SPARSE = ("callbacks.checkpoints.every_n_steps=100000", "pixels=dynamic", "kl_penalty=linear")


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory):
    """A cluster for the tests of this file."""
    if missing():
        yield
        return
    with cluster(tmp_path_factory.mktemp("slurm")) as conf:
        yield conf


@pytest.fixture
def planned(tiny, tmp_path):
    """Lists of overrides -> their jobs in a sweep's folder."""

    def jobs(*combinations):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            all_overrides = [[*tiny, *overrides] for overrides in combinations]
            return plan(tmp_path / "sweep", all_overrides, list(tiny))

    return jobs


@pytest.fixture
def launched():
    """launcher, jobs -> a list to which what launch() yields is added by a thread that ends."""
    threads = []

    def start(launcher, jobs):
        dones = []
        thread = threading.Thread(target=lambda: dones.extend(launcher.launch(jobs)))
        thread.start()
        threads.append(thread)
        return dones

    yield start
    for thread in threads:
        thread.join(60)


def number(job):
    """Of a job in SLURM."""
    return json.loads((job.path / "slurm.json").read_text())["job_id"]


def state(job):
    return asked("squeue", "-h", "-t", "all", "-o", "%T", "-j", number(job))


def trains(job):
    """Whether it is in the middle of LONG."""
    assert job.state() in ("planned", "running"), (job.path / "train.log").read_text()
    curve = job.folder.read_curve("train/loss")
    return curve and max(curve) >= 50


def ignores_sigterm(job):
    """Whether a process of the job runs that SIGTERM does not end."""
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(job.path.parent / ".slurm") in cmdline.read_text():
                status = cmdline.with_name("status").read_text()
                ignored = int(re.search(r"SigIgn:\s*(\w+)", status)[1], 16)
                if ignored & 1 << (signal.SIGTERM - 1):
                    return True
    return False


def content(folder):
    checkpoint = torch.load(folder.last_checkpoint, weights_only=True)
    # Times, and the digest of all that is in the file.
    del checkpoint["callbacks"]["Stopwatch"], checkpoint["config"], checkpoint["digest"]
    return tree_flatten(checkpoint)


def assert_same_run(folder, other):
    """The same metrics.csv and weights, moments, counters, bit for bit."""
    assert folder.curves.read_text() == other.curves.read_text()
    (left, shape), (right, same) = content(folder), content(other)
    assert shape == same
    for a, b in zip(left, right, strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@on_slurm
def test_killed_sweep_waits_for_what_is_queued(command, finish, tiny, tmp_path):
    arguments = ("-m", *tiny, "name=s", "objective.beta=1,4", "seed=0", "hydra/launcher=slurm")
    arguments += ("hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1")
    arguments += ("hydra.launcher.poll_seconds=0.3",)
    folder = tmp_path / "outputs" / "s" / "sweep"
    asked("scontrol", "update", "PartitionName=main", "State=DOWN")  # queues and starts nothing
    process = command(*arguments)
    until(lambda: len(list(folder.glob("*/slurm.json"))) == 2 or process.poll(), 60)
    process.kill()
    finish(process)
    assert asked("squeue", "--me", "-h", "-o", "%T") == "PENDING\nPENDING"
    process = command(*arguments)
    # Nothing starts before it has looked; without a second look it would wait for ever.
    giving_up = threading.Timer(90, process.kill)
    giving_up.start()
    assert any("in the queue already" in line for line in process.stderr)
    giving_up.cancel()
    asked("scontrol", "update", "PartitionName=main", "State=UP")
    code, _, err = finish(process)
    assert code == 0, err
    assert "2 of 2 finished" in err
    assert [run.status()["state"] for run in find_runs(folder)] == ["finished"] * 2
    # Two jobs of SLURM in all, so none was submitted twice; each ran once.
    assert len(list((folder / ".slurm").glob("*_submission.sh"))) == 2
    for run in find_runs(folder):
        assert len(json.loads(run.provenance.read_text())) == 1


@on_slurm
def test_preempted_run_is_the_uninterrupted_one(planned, launched, compose, tiny, tmp_path):
    overrides = (*LONG, *SPARSE)
    (job,) = planned(overrides)
    dones = launched(Quick(cpus_per_task=2), [job])
    until(lambda: (job.path / "slurm.json").exists() and trains(job), 60)
    urgent = ("sbatch", "--partition=urgent", "--cpus-per-task=2", "--mem=100", "--wrap=sleep 1")
    subprocess.run((*urgent, "--output=/dev/null"), check=True, capture_output=True)
    until(lambda: state(job) == "PENDING", 30)
    assert job.state() == "interrupted"
    stopped_at = RunFolder(job.path).last_step
    assert 50 <= stopped_at < 3000
    assert stopped_at % 1000  # saved by the signal alone
    assert dones == []
    asked("scontrol", "update", f"JobId={number(job)}", "StartTime=now")  # SLURM waits two minutes
    until(lambda: dones, 60)
    assert dones == [(job, None)]
    assert job.state() == "finished"
    assert len(json.loads(job.folder.provenance.read_text())) == 2
    assert len(list((tmp_path / "sweep" / ".slurm").glob("*_submission.sh"))) == 1
    train(compose(*tiny, *overrides), tmp_path / "whole", [])
    assert_same_run(job.folder, RunFolder(tmp_path / "whole"))


@on_slurm
def test_end_of_time_and_cancelling(planned, launched):
    """The one runs out of the times that are allowed, the other never comes back.

    submitit takes any signal within ten minutes of timeout_min for the end of the time.
    """
    late, cancelled = planned((*LONG, "seed=1"), (*LONG, "seed=2"))
    dones = launched(Quick(max_num_timeout=1, timeout_min=10), [late, cancelled])
    for job in (late, cancelled):
        until(lambda job=job: (job.path / "slurm.json").exists() and trains(job), 60)
    # As SLURM does signal_delay_s before the end of the time.
    asked("scancel", "--signal=TERM", number(late))
    asked("scancel", number(cancelled))
    until(lambda: state(late) == "PENDING", 30)
    until(lambda: dones, 30)
    assert dones[0].job == cancelled
    assert "it was ended by scancel" in dones[0].reason
    assert cancelled.folder.status()["error"] == dones[0].reason
    assert (cancelled.state(), state(cancelled)) == ("interrupted", "CANCELLED")
    before = late.folder.last_step
    asked("scontrol", "update", f"JobId={number(late)}", "StartTime=now")
    until(lambda: max(late.folder.read_curve("train/loss")) > before, 60)
    asked("scancel", "--signal=TERM", number(late))
    until(lambda: len(dones) == 2, 30)
    assert late.state() == "interrupted"
    assert "timeout_min was over more than" in late.folder.status()["error"]
    assert RunFolder(late.path).last_step > before


@on_slurm
def test_signal_while_python_starts(planned, launched):
    (job,) = planned(("seed=7",))
    dones = launched(Quick(), [job])
    until(lambda: (job.path / "slurm.json").exists() and state(job) == "RUNNING", 30)
    until(lambda: ignores_sigterm(job), 30)
    asked("scancel", "--signal=TERM", number(job))
    until(lambda: dones, 60)
    assert dones == [(job, None)]
    assert job.state() == "finished"


@on_slurm
def test_memory_and_one_job_at_a_time(planned):
    """Python with torch takes more than 50 MB. The next job is taken when one has ended."""
    taken = []

    def lazily(jobs):
        for job in jobs:
            taken.append(job)
            yield job

    jobs = planned(("seed=3",), ("seed=4",))
    launcher = Slurm(1, poll_seconds=0.3, mem_gb=0.05)
    for count, done in enumerate(launcher.launch(lazily(jobs)), 1):
        assert len(taken) == count
        assert done.job == jobs[count - 1]
        assert "took more memory than hydra.launcher.mem_gb=0.05" in done.reason
    assert count == 2


@on_slurm
def test_two_tasks_train_as_one_process(planned, compose, tiny, tmp_path):
    two = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "eval_batch_size=10")
    (job,) = planned(two)
    assert [*Slurm(tasks_per_node=2, mem_gb=2, poll_seconds=0.3).launch([job])] == [(job, None)]
    assert job.state() == "finished"
    train(compose(*tiny, "eval_batch_size=10"), tmp_path / "one", [])
    one = RunFolder(tmp_path / "one")
    for metric in ("train/loss", "val/elbo", "test/elbo"):
        assert job.folder.read_curve(metric) == pytest.approx(one.read_curve(metric), rel=1e-5)
    assert len(json.loads(job.folder.provenance.read_text())) == 1


@on_slurm
def test_settings_that_the_cluster_rejects(planned):
    jobs = planned(("seed=5",))
    with pytest.raises(UserError, match="Invalid partition"):
        list(Quick(partition="gpu").launch(jobs))
    assert jobs[0].state() == "planned"


def test_machine_without_slurm(planned, tmp_path, monkeypatch):
    jobs = planned(("seed=6",))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="expects a machine that can submit to a cluster"):
        list(Quick().launch(jobs))
    assert jobs[0].state() == "planned"
    assert not (tmp_path / "sweep" / ".slurm").exists()
