"""What a sweep shows while it runs."""

import io
import logging
import time

import pytest

from vaelab.sweep.jobs import Job
from vaelab.sweep.progress import MAX_LINES, Progress, latest_score


@pytest.fixture
def job(tmp_path):
    """(number, status) -> a job with it."""

    def make(number, state="running", **status):
        job = Job(str(number), tmp_path / str(number), (f"seed={number}",))
        job.path.mkdir(exist_ok=True)
        job.folder.config.write_text("seed: 0\n")
        job.folder.set_status(state, **status)
        return job

    return make


@pytest.fixture(autouse=True)
def _info(caplog):
    caplog.set_level(logging.INFO)


def test_a_line_has_step_elbo_and_time_left(job):
    one = job(1, step=1000, num_steps=5000)
    rows = "step,metric,value\n900,val/elbo,-20.5\n1000,val/elbo,-12.25\n1000,val/kl,3\n1100,val/el"
    one.folder.curves.write_text(rows)
    progress = Progress(4, live=False)
    assert list(progress.track([one])) == [one]
    assert progress.lines(100.0) == [
        "0 of 4 jobs, 1 running",
        "  seed=1   step 1,000 of 5,000   val/elbo -12.25",
    ]
    job(1, step=2000, num_steps=5000)
    assert progress.lines(110.0)[1].endswith("val/elbo -12.25   0:00:30 left")


def test_only_the_end_of_the_curves_is_read(job):
    one = job(1)
    rows = "".join(f"{step},train/loss,1.0\n" for step in range(5000))
    one.folder.curves.write_text(f"{rows}5000,val/reconstruction,2.5\n")
    assert latest_score(one.folder) == ["val/reconstruction 2.50"]
    one.folder.curves.write_text(f"5000,val/reconstruction,2.5\n{rows}")
    assert latest_score(one.folder) == []


def test_jobs_are_counted_by_their_ends(job, caplog):
    progress = Progress(3, live=False)
    jobs = [job(1, "finished"), job(2, "failed", error="no such file\nmore"), job(3, "planned")]
    for one in progress.track(jobs):
        if one.id != "3":
            progress.finish(one, one.state())
    assert caplog.messages == [
        *("start: seed=1", "1 of 3 finished: seed=1"),
        *("start: seed=2", "2 of 3 failed: seed=2: no such file", "start: seed=3"),
    ]
    assert progress.lines(0.0) == [
        "2 of 3 jobs, 1 finished, 1 failed, 1 running",
        "  seed=3   planned",
    ]


def test_many_running_jobs_fit_the_screen(job):
    progress = Progress(None, live=False)
    list(progress.track([job(number) for number in range(MAX_LINES + 5)]))
    lines = progress.lines(0.0)
    assert len(lines) == MAX_LINES
    assert lines[0].startswith("0 of ? jobs")
    assert lines[-1] == "  and 7 more"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_the_view_is_for_terminals(stream, job, monkeypatch):
    monkeypatch.setattr("vaelab.sweep.progress.REDRAW_SECONDS", 0.01)
    progress = Progress(2, live=True, stream=stream)
    list(progress.track([job(1, step=10, num_steps=20)]))
    with progress.display():
        end = time.monotonic() + 10
        while stream.isatty() and "step 10 of 20" not in stream.getvalue():
            assert time.monotonic() < end
            time.sleep(0.01)
    assert ("0 of 2 jobs" in stream.getvalue()) == stream.isatty()
