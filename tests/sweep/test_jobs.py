"""Planned folders: what is left to do in each, also after a kill between two of its files."""

import pytest
from hydra import initialize_config_dir

from vaelab.cli.hydra_app import CONF
from vaelab.sweep.grid import combine
from vaelab.sweep.job import run_job
from vaelab.sweep.jobs import plan, read_jobs
from vaelab.sweep.launchers import FinishedJob
from vaelab.sweep.run import final_state
from vaelab.sweep.status import list_jobs
from vaelab.terminal import beside_python

IMPORTANCE = ("metrics@evaluation=[importance_weighted]", "evaluation.importance_weighted.")
FEW = (IMPORTANCE[0], f"{IMPORTANCE[1]}num_images=4")


@pytest.fixture
def job(tiny, tmp_path):
    """Overrides -> the job of `tiny` with them, planned."""

    def planned(*overrides, **options):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return plan(tmp_path / "sweep", [[*tiny, *overrides]], tiny, **options)[0]

    return planned


def test_metric_with_other_settings_is_computed_again(job):
    first = job(*FEW, f"{IMPORTANCE[1]}num_samples=2")
    run_job(first.path)
    assert first.is_complete()
    before = first.folder.read_metrics()
    again = job(*FEW, f"{IMPORTANCE[1]}num_samples=50")
    assert (again.path, again.is_complete(), again.state()) == (first.path, False, "finished")
    run_job(again.path)
    assert again.is_complete()
    after = again.folder.read_metrics()
    assert after["metrics/importance_weighted_bound"] != before["metrics/importance_weighted_bound"]
    assert after["val/elbo"] == before["val/elbo"]


def test_kill_between_two_files_of_a_plan(job):
    """Before status.json a job is planned; before config.yaml what is asked is not forgotten."""
    planned = job()
    planned.folder.status_file.unlink()
    assert [one.state() for one in read_jobs(planned.path.parent).values()] == ["planned"]
    assert next(list_jobs([planned])).endswith("1 jobs: 1 planned")
    planned.folder.config.unlink()
    assert planned.state() == "planned"
    assert job().path == planned.path
    run_job(planned.path)
    before = planned.folder.config.read_text()
    assert not job(*FEW).is_complete()
    planned.folder.config.write_text(before)  # as if killed after job.json
    assert not job(*FEW).is_complete()
    run_job(planned.path)
    assert "metrics/importance_weighted_bound" in planned.folder.read_metrics()
    part = planned.path / ".config.yaml.0123.part"
    part.write_text("half")  # as if killed while that was written
    assert job(*FEW, "num_threads=2").is_complete()
    assert not part.exists()


def test_trained_run_whose_evaluation_was_killed_stays_trained(job):
    planned = job(*FEW)
    run_job(job().path)
    assert final_state(FinishedJob(job(*FEW), "killed by signal 9")) == "finished"
    status = planned.folder.status()
    assert (status["state"], status["error"]) == ("finished", "evaluation: killed by signal 9")
    assert "unevaluated" in list(list_jobs([planned]))[1]
    run_job(planned.path)
    assert planned.is_complete()


EARLY = "++callbacks.early={_target_:pytorch_lightning.callbacks.EarlyStopping,monitor:val/elbo,"
EARLY += "mode:max,patience:0,min_delta:1000000}"


def test_run_that_stopped_early_is_trained_and_evaluated(job):
    planned = job(EARLY, *FEW)
    run_job(planned.path)
    assert (planned.state(), planned.is_complete()) == ("stopped early", True)
    assert "metrics/importance_weighted_bound" in planned.folder.read_metrics()
    assert "1 jobs: 1 stopped early" in next(list_jobs([planned]))


def test_many_runs_that_stopped_early_are_listed_in_short(job, monkeypatch):
    planned = [job(f"seed={seed}") for seed in range(3)]
    for one in planned:
        one.folder.set_status("stopped early")
    monkeypatch.setattr("vaelab.sweep.status.MAX_LISTED", 2)
    *_, last = list_jobs(planned)
    assert last == "  stopped early and 1 more; --all lists them"
    assert len(list(list_jobs(planned, everything=True))) == 4


def test_run_out_of_time_is_to_be_resumed(job):
    planned = job("+trainer.max_time='00:00:00:00'", *FEW)
    run_job(planned.path)
    assert (planned.state(), planned.is_complete()) == ("out of time", False)
    assert final_state(FinishedJob(planned)) == "out of time"
    *_, listed, command = list_jobs([planned])
    assert listed.strip().startswith("out of time")
    assert command.startswith("resume with")


def test_listing_names_every_command_that_is_left(job, monkeypatch):
    planned = []
    for seed in (0, 1):
        monkeypatch.setattr("sys.argv", ["train.py", "-m", f"seed={seed}"])
        planned.append(job(f"seed={seed}"))
    resuming = [line for line in list_jobs(planned) if line.startswith("resume with")]
    assert resuming == [
        f"resume with  {beside_python('python')} train.py -m seed={seed}" for seed in (0, 1)
    ]


def test_none_in_a_file_is_null():
    assert combine([], {"x": None, "y": [1, 2]}, [[]]) == [["x=null", "y=[1,2]"]]


def test_record_says_what_a_job_is_made_of(job):
    record = job("seed=3", *FEW).folder.read_job()
    assert record["own_overrides"][:1] == ["seed=3"]
    assert set(record["own_overrides"]) < set(record["overrides"])
    assert list(record["evaluation"]) == ["importance_weighted"]


def test_record_keeps_the_extra_fields_of_a_search(job):
    for trial in (3, 4):
        planned = job("seed=3", extra={"pruned_by": {"trial": trial}})
        assert planned.folder.read_job()["pruned_by"] == {"trial": trial}
    assert list(read_jobs(planned.path.parent)) == [planned.id]
