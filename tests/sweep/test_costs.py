"""What a sweep will take: counted, learned from finished jobs, or timed."""

import pytest
from hydra import initialize_config_dir

from vaelab.cli.hydra_app import CONF, register_resolvers
from vaelab.runs.folder import find_runs
from vaelab.sweep.costs import costs
from vaelab.sweep.jobs import expand, plan
from vaelab.sweep.methods import methods

HOUR = 3600


@pytest.fixture
def planned(tiny, tmp_path):
    """Words -> the jobs of tiny with them."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield lambda *words: plan(tmp_path, expand([*tiny, *words]), tiny)


def finish(job, seconds, num_steps=12, **others):
    """Make a planned job one that has finished."""
    job.folder.set_status("finished")
    job.folder.add_metrics({"seconds": seconds, "num_steps": num_steps} | others)


@pytest.fixture(autouse=True)
def timed(monkeypatch):
    """The jobs that were timed; each is told to take an hour a step and 10^9 bytes."""
    calls = []

    def fake(jobs, num_at_once):
        calls.extend(jobs)
        return [{"seconds_per_step": HOUR, "num_bytes": 1e9} for _ in jobs]

    monkeypatch.setattr("vaelab.sweep.methods._timed", fake)
    return calls


def test_jobs_that_differ_in_strength_and_seed_are_timed_once(planned, timed):
    jobs = planned("objective.beta=1,2,4", "seed=range(4)")
    (method,) = methods(jobs)
    assert (method.name, method.num_jobs, method.num_steps) == ("BetaVAE", 12, 144)
    assert timed == [jobs[0]]
    assert method.seconds == 144 * HOUR


@pytest.mark.parametrize("word", ["model.hidden=[8],[16]", "batch_size=8,16", "latent_dim=2,3"])
def test_jobs_of_other_networks_are_timed_apart(planned, timed, word):
    assert len(methods(planned(word, "seed=0,1"))) == len(timed) == 2


def test_steps_are_counted_job_by_job(planned):
    (method,) = methods(planned("num_steps=8,12", "seed=0,1"))
    assert method.num_steps == 40


def test_finished_jobs_tell_what_the_others_take(planned, timed):
    jobs = planned("seed=range(4)")
    finish(jobs[0], 120.0, evaluations={"mig": {"seconds": 60.0}})
    finish(jobs[2], 240.0)
    (method,) = methods(jobs)
    assert timed == []
    assert (method.num_jobs, method.num_steps, method.source) == (2, 24, "2 finished")
    assert method.seconds_per_step == 15
    assert method.evaluation_seconds == 30
    assert method.seconds == 24 * 15 + 2 * 30
    files = [f for job in (jobs[0], jobs[2]) for f in job.path.rglob("*") if f.is_file()]
    assert method.num_bytes == sum(f.stat().st_size for f in files) / 2


def test_text_divides_the_hours(planned):
    jobs = planned("seed=range(4)")
    finish(jobs[0], 12 * HOUR)
    text = costs(jobs, 2)
    assert text.startswith("4 jobs: 1 finished, 3 to run\n")
    assert "36.0 hours one after another, 18.0 hours with 2 at once" in text
    assert "36.0 hours one after another, as many at once as the cluster" in costs(jobs, None)
    for job in jobs[1:]:
        finish(job, 1.0)
    assert costs(jobs, 1) == "4 jobs: 4 finished, 0 to run"


def test_what_could_not_be_timed_is_said(planned, monkeypatch):
    monkeypatch.setattr("vaelab.sweep.methods._timed", lambda jobs, _: [{} for _ in jobs])
    text = costs(planned("seed=0,1"), 1)
    assert "not timed" in text
    assert "0.0 hours one after another" in text
    assert "without those not timed" in text


def test_plan_only_times_and_stops(command, tiny, tmp_path):
    words = [*tiny, "objective=beta_vae,factor_vae", "seed=0,1", "hydra.sweeper.plan_only=true"]
    out, err = command("-m", *words, "trainer.accelerator=cpu").communicate(timeout=120)
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
