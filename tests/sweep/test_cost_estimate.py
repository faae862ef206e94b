"""What a sweep will cost: counted, averaged over finished jobs, or timed."""

import pytest
from hydra import initialize_config_dir

from vaelab.cli.hydra_app import CONF, register_resolvers
from vaelab.runs.folder import find_runs
from vaelab.sweep.cost_estimate import estimate_cost, group_by_timing
from vaelab.sweep.jobs import expand, plan

HOUR = 3600


@pytest.fixture
def planned(tiny, tmp_path):
    """Overrides -> the jobs of tiny with them."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield lambda *overrides: plan(tmp_path, expand([*tiny, *overrides]), tiny)


def finish(job, seconds, num_steps=12, **others):
    """Make a planned job one that has finished."""
    job.folder.set_status("finished")
    job.folder.add_metrics({"seconds": seconds, "num_steps": num_steps} | others)


@pytest.fixture(autouse=True)
def timed(monkeypatch):
    """The jobs that were timed; each appears to take an hour per step and 10^9 bytes."""
    calls = []

    def fake(jobs, num_at_once):
        calls.extend(jobs)
        return [{"seconds_per_step": HOUR, "num_bytes": 1e9} for _ in jobs]

    monkeypatch.setattr("vaelab.sweep.cost_estimate._time_jobs", fake)
    return calls


def test_jobs_that_differ_in_strength_and_seed_are_timed_once(planned, timed):
    jobs = planned("objective.beta=1,2,4", "seed=range(4)")
    (group,) = group_by_timing(jobs)
    assert (group.name, group.num_jobs, group.num_steps) == ("BetaVAE", 12, 144)
    assert timed == [jobs[0]]
    assert group.seconds == 144 * HOUR


@pytest.mark.parametrize("override", ["model.hidden=[8],[16]", "batch_size=8,16", "latent_dim=2,3"])
def test_jobs_of_other_networks_are_timed_apart(planned, timed, override):
    assert len(group_by_timing(planned(override, "seed=0,1"))) == len(timed) == 2


def test_steps_are_counted_job_by_job(planned):
    (group,) = group_by_timing(planned("num_steps=8,12", "seed=0,1"))
    assert group.num_steps == 40


def test_finished_jobs_show_what_the_others_take(planned, timed):
    jobs = planned("seed=range(4)")
    finish(jobs[0], 120.0, evaluations={"mig": {"seconds": 60.0}})
    finish(jobs[2], 240.0)
    (group,) = group_by_timing(jobs)
    assert timed == []
    assert (group.num_jobs, group.num_steps, group.source) == (2, 24, "2 finished")
    assert group.seconds_per_step == 15
    assert group.evaluation_seconds == 30
    assert group.seconds == 24 * 15 + 2 * 30
    files = [f for job in (jobs[0], jobs[2]) for f in job.path.rglob("*") if f.is_file()]
    assert group.num_bytes == sum(f.stat().st_size for f in files) / 2


def test_text_divides_the_hours(planned):
    jobs = planned("seed=range(4)")
    finish(jobs[0], 12 * HOUR)
    text = estimate_cost(jobs, 2)
    assert text.startswith("4 jobs: 1 finished, 3 to run\n")
    assert "36.0 hours one after another, 18.0 hours with 2 at once" in text
    on_cluster = "36.0 hours one after another, as many at once as the cluster"
    assert on_cluster in estimate_cost(jobs, None)
    for job in jobs[1:]:
        finish(job, 1.0)
    assert estimate_cost(jobs, 1) == "4 jobs: 4 finished, 0 to run"


def test_what_could_not_be_timed_is_said(planned, monkeypatch):
    monkeypatch.setattr("vaelab.sweep.cost_estimate._time_jobs", lambda jobs, _: [{} for _ in jobs])
    text = estimate_cost(planned("seed=0,1"), 1)
    assert "not timed" in text
    assert "0.0 hours one after another" in text
    assert "without those not timed" in text


def test_plan_only_times_and_stops(command, tiny, tmp_path):
    overrides = [*tiny, "objective=beta_vae,factor_vae", "seed=0,1", "hydra.sweeper.plan_only=true"]
    out, err = command("-m", *overrides, "trainer.accelerator=cpu").communicate(timeout=120)
    assert "4 jobs: 0 finished, 4 to run" in out, err
    rows = [line.split() for line in out.splitlines() if "timed now" in line]
    assert [row[:3] for row in rows] == [["BetaVAE", "2", "12"], ["FactorVAE", "2", "12"]]
    assert all(float(row[3]) > 0 for row in rows)
    folders = find_runs(tmp_path / "outputs")
    assert [one.status()["state"] for one in folders] == ["planned"] * 4
    for one in folders:
        assert {file.name for file in one.path.iterdir()} == {
            *("config.yaml", "job.json", "status.json"),
        }
