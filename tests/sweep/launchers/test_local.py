"""Jobs in processes: how many at once, on what, and what the death of one does to the others."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hydra import initialize_config_dir

from vaelab.cli.hydra_app import CONF
from vaelab.errors import UserError
from vaelab.files import write_json
from vaelab.runs.folder import find_runs
from vaelab.runs.status import start_time
from vaelab.sweep.jobs import Job, plan
from vaelab.sweep.launchers import FinishedJob, Local, Serial, resources
from vaelab.sweep.launchers import local as local_module
from vaelab.sweep.launchers import processes as processes_module
from vaelab.sweep.launchers.devices import uses_gpu
from vaelab.sweep.run import final_state, run_jobs

ALIVE = {"state": "running", "pid": os.getppid()}
ALIVE["process_start"] = start_time(os.getppid())

# Instead of a training: does what job.json says, then writes its environment and times.
FAKE = """
    import json, os, sys, time
    from pathlib import Path
    folder = Path(sys.argv[1])
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
    began = time.monotonic()
    exec(json.loads((folder / "job.json").read_text())["do"])
    facts = {name: os.environ.get(name) for name in names} | {"began": began}
    (folder / "facts.json").write_text(json.dumps(facts | {"ended": time.monotonic()}))
    status = json.loads((folder / "status.json").read_text()) | {"state": "finished"}
    (folder / "status.json").write_text(json.dumps(status))
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(processes_module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(local_module, "POLL_SECONDS", 0.05)


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """(code, ...) -> jobs that run it instead of training."""
    script = tmp_path / "fake.py"
    script.write_text(textwrap.dedent(FAKE))
    monkeypatch.setattr(processes_module, "COMMAND", (sys.executable, str(script)))

    def make(*codes, trainer="accelerator: cpu, devices: 1"):
        made = []
        for number, code in enumerate(codes):
            job = Job(str(number), tmp_path / "sweep" / str(number), (f"seed={number}",))
            job.path.mkdir(parents=True)
            job.folder.config.write_text(f"trainer: {{{trainer}}}\n")
            (job.path / "job.json").write_text(json.dumps({"do": code}))
            job.folder.set_status("planned")
            made.append(job)
        return made

    return make


def facts(job):
    return json.loads((job.path / "facts.json").read_text())


def most_at_once(jobs):
    spans = [facts(job) for job in jobs]
    return max(sum(b["began"] <= a["began"] < b["ended"] for b in spans) for a in spans)


def test_a_job_is_taken_when_the_result_before_was_dealt_with(jobs):
    events, made = [], jobs(*["time.sleep(0.1)", "time.sleep(0.4)"] * 3)

    def taken():
        for job in made:
            events.append("take")
            yield job

    for done in Local(num_jobs=2).launch(taken()):
        assert done.reason is None
        time.sleep(0.1)
        events.append("yield")
    assert events[:4] == ["take", "take", "yield", "take"]
    for end in range(len(events)):
        so_far = events[:end]
        assert so_far.count("take") - so_far.count("yield") <= 2
    assert events.count("yield") == 6
    assert most_at_once(made) == 2


@pytest.mark.parametrize("launcher", [Local(num_jobs=2), Serial()], ids=["local", "serial"])
def test_jobs_are_asked_for_in_the_thread_of_the_sweep(launcher, jobs):
    """So that a search, which decides then, needs no lock."""
    threads, made = [], jobs("pass", "pass", "pass")

    def taken():
        for job in made:
            threads.append(threading.current_thread())
            yield job

    assert len(list(launcher.launch(taken()))) == 3
    assert set(threads) == {threading.current_thread()}


def test_death_of_one_leaves_the_others(jobs):
    made = jobs(
        "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 11)", "sys.exit('no such thing')",
        "time.sleep(0.5)", "pass",
    )  # fmt: skip
    done = {one.job.id: one for one in Local(num_jobs=2).launch(made)}
    states = [final_state(done[job.id]) for job in made]
    assert states == ["failed", "failed", "failed", "finished", "finished"]
    errors = [str(job.folder.status().get("error")) for job in made]
    assert "killed by signal 9, probably since memory ran out" in errors[0]
    assert "hydra.launcher.num_jobs=1" in errors[0]
    assert errors[1].startswith("killed by signal 11")
    assert "Segmentation fault" in (made[1].path / "output.log").read_text()
    assert errors[2] == "ended with exit code 1; output.log ends with: no such thing"


def test_every_job_has_gpus_of_its_own(jobs, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    made = jobs(*["time.sleep(0.3)"] * 5, trainer="accelerator: gpu, devices: 1")
    assert len(list(Local(num_jobs=4).launch(made))) == 5
    assert {facts(job)["CUDA_VISIBLE_DEVICES"] for job in made} == {"GPU-a", "GPU-b"}
    for one in ("GPU-a", "GPU-b"):
        assert most_at_once([j for j in made if facts(j)["CUDA_VISIBLE_DEVICES"] == one]) == 1
    assert most_at_once(made) == 2


def test_jobs_that_take_a_gpu_by_themselves_get_their_own(jobs, monkeypatch):
    """As trainer=ddp, whose accelerator is auto."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    [one, two] = jobs("pass", "pass", trainer="accelerator: auto, devices: 1")
    two.folder.config.write_text("trainer: {accelerator: auto, devices: 2}\n")
    assert [done.reason for done in Local(num_jobs=1).launch([one, two])] == [None, None]
    lent = [facts(job)["CUDA_VISIBLE_DEVICES"].split(",") for job in (one, two)]
    assert [set(gpus) for gpus in lent] == [{"2"}, {"2", "5"}]
    # None where there is none, or where none is to be used.
    assert list(Local(num_jobs=1, gpus=0).launch([two])) == [(two, None)]
    assert facts(two)["CUDA_VISIBLE_DEVICES"] == ""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert list(Local(num_jobs=1).launch([two])) == [(two, None)]
    assert not uses_gpu(two, available=False)
    assert uses_gpu(two, available=True)


@pytest.mark.parametrize("chosen", [3, [0, 0], [0, 2], -1])
def test_gpus_that_are_hidden_or_named_twice_are_rejected(chosen, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(UserError, match="gpus expects"):
        Local(gpus=chosen)
    assert Local(gpus=1).gpus.names == ["0"]
    assert Local(gpus=[1, "0"]).gpus.names == ["1", "0"]


def test_gpus_of_a_list_are_lent_by_devices(jobs, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    made = jobs("pass", "pass", trainer="accelerator: gpu, devices: 2")
    assert [done.reason for done in Local(num_jobs=2, gpus=[3, 5]).launch(made)] == [None, None]
    assert {facts(job)["CUDA_VISIBLE_DEVICES"] for job in made} == {"3,5"}
    [done] = Local(gpus=[3]).launch(made[:1])
    assert "expects as many GPUs, got 1" in done.reason


def test_threads_are_shared_out(jobs, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(local_module, "num_cores", lambda: 8)
    [job] = jobs("pass")

    seen = []
    for launcher in (Local(), Local(num_jobs=2), Local(num_jobs=2, num_threads=3)):
        list(launcher.launch([job]))
        seen.append(facts(job)["OMP_NUM_THREADS"])
    job.folder.config.write_text("trainer: {accelerator: cpu, devices: 2}\n")
    list(Local(num_jobs=2).launch([job]))

    assert [*seen, facts(job)["OMP_NUM_THREADS"]] == ["1", "4", "3", "2"]


def test_zero_jobs_are_rejected():
    with pytest.raises(UserError, match="num_jobs expects 1 or more"):
        Local(num_jobs=0)


HOLD = "held = bytearray(300_000_000); time.sleep(0.5)"


def test_jobs_wait_for_room_in_memory(jobs, monkeypatch):
    """Where one fits, they run one by one as soon as it is known what they need."""
    monkeypatch.setattr(processes_module, "available_bytes", lambda: 200e6)
    made = jobs(*[HOLD] * 4)
    assert len(list(Local(num_jobs=2).launch(made))) == 4
    later = sorted(made, key=lambda job: facts(job)["began"])[2:]
    assert most_at_once(later) == 1
    monkeypatch.setattr(processes_module, "available_bytes", lambda: 2e9)
    assert len(list(Local(num_jobs=2).launch(made))) == 4
    assert most_at_once(made) == 2


def test_growth_to_come_counts(monkeypatch):
    processes = processes_module.JobProcesses()
    processes.largest, processes.needed = 5e9, {1: 1e9}
    for available, rooms in ((8.9e9, [False, False]), (9e9, [True, False])):
        monkeypatch.setattr(processes_module, "available_bytes", lambda free=available: free)
        # The second job has no process yet, so that all of its memory is still to come.
        assert [processes.has_room(num_jobs) for num_jobs in (1, 2)] == rooms
    processes.needed = {}
    monkeypatch.setattr(processes_module, "available_bytes", lambda: 0.0)
    assert processes.has_room(0)


@pytest.mark.parametrize("version", [1, 2])
def test_free_memory_is_that_of_the_container(tmp_path, version):
    for name, text in {
        "proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable:    8000000 kB\n",
        "proc/self/cgroup": ("0::/a/b\n" if version == 2 else "3:cpu:/x\n4:memory:/a/b\n"),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert resources.available_bytes(tmp_path) == 8_000_000 * 1024
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    top = tmp_path / "sys/fs/cgroup" / ("memory" if version == 1 else "")
    for folder, limit in ((top / "a/b", "max"), (top / "a", "4000000000")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / names[0]).write_text(limit)
        (folder / names[1]).write_text("3000000000")
        (folder / "memory.stat").write_text(f"anon 5\n{names[2]} 500000000\n")
    assert resources.available_bytes(tmp_path) == 1.5e9


@pytest.mark.parametrize("version", [1, 2])
def test_cores_are_those_of_the_container(tmp_path, version, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert resources.num_cores(tmp_path) == 8
    group = tmp_path / "proc/self/cgroup"
    group.parent.mkdir(parents=True)
    group.write_text("0::/a/b\n" if version == 2 else "3:cpu:/a/b\n4:memory:/x\n")
    top = tmp_path / "sys/fs/cgroup" / ("cpu" if version == 1 else "")
    # Quotas in microseconds of each period: none, 2.5 cores, 12 cores.
    for folder, quota in (("a/b", None), ("a", 250_000), (".", 1_200_000)):
        (top / folder).mkdir(parents=True, exist_ok=True)
        (top / folder / "cpu.max").write_text(f"{quota or 'max'} 100000\n")
        (top / folder / "cpu.cfs_quota_us").write_text(f"{quota or -1}\n")
        (top / folder / "cpu.cfs_period_us").write_text("100000\n")
    assert resources.num_cores(tmp_path) == 3
    (top / "a/b/cpu.max").write_text("10000 100000\n")
    (top / "a/b/cpu.cfs_quota_us").write_text("10000\n")
    assert resources.num_cores(tmp_path) == 1


def test_what_a_process_group_needed_is_known():
    held = bytearray(50_000_000)
    assert resources.needed_bytes(os.getpgid(0)) > len(held)
    assert resources.needed_bytes(2**30) == 0


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_job_of_another_process_is_left_to_it(jobs, caplog):
    made = jobs("pass", "pass")
    write_json(made[0].folder.status_file, made[0].folder.status() | ALIVE)
    assert list(run_jobs(Local(num_jobs=2), made)) == [(made[1], "finished")]
    assert made[0].folder.status()["pid"] == ALIVE["pid"]
    assert "seed=0 is left to the process that runs it" in caplog.text
    # Also where it was begun elsewhere after it was taken here.
    assert final_state(FinishedJob(made[0], "ended with exit code 2")) == "running"
    assert made[0].state() == "running"


def test_a_job_of_several_devices_leaves_this_process(jobs):
    made = jobs("pass", trainer="accelerator: cpu, devices: 2")
    assert [done.reason for done in Serial().launch(made)] == [None]
    assert facts(made[0])["CUDA_VISIBLE_DEVICES"] == os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.fixture
def planned(tiny, tmp_path):
    """Lists of overrides -> the jobs of tiny trainings with them."""

    def make(*combinations):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            combinations = [[*tiny, *overrides] for overrides in combinations]
            return plan(tmp_path / "sweep", combinations, tiny)

    return make


def test_memory_limit_stops_one_job_with_a_sentence(planned, warm_jobs):
    small, large = planned(["seed=1"], ["model.hidden=[30000,30000]"])
    states = {d.job.id: final_state(d) for d in Local(2, memory_gb=1.5).launch([large, small])}
    assert states == {small.id: "finished", large.id: "failed"}
    error = large.folder.status()["error"]
    assert "expected memory enough for this run" in error
    assert "use a smaller batch_size or eval_batch_size" in error


# Nothing is saved unless the job is asked to end.
UNSAVED = ["num_steps=100000", "val_every_n_steps=100000"]
UNSAVED += ["callbacks.checkpoints.every_n_steps=100000"]

SWEEP = """
import sys
from pathlib import Path
from vaelab.sweep.jobs import Job
from vaelab.sweep.launchers import Local
list(Local(1).launch([Job("0", Path(sys.argv[1]), ())]))
"""


def test_killed_sweep_takes_its_jobs_along(planned):
    """kill -9 of the sweep alone: its job saves the step it is at, and ends."""
    [job] = planned(UNSAVED)
    sweep = subprocess.Popen([sys.executable, "-c", SWEEP, str(job.path)])
    try:
        wait_until(lambda: job.folder.read_curve("train/loss"))
        pid = job.folder.status()["pid"]
    finally:
        sweep.kill()
        sweep.wait()
    wait_until(lambda: job.state() == "interrupted")
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    assert job.folder.last_step >= max(job.folder.read_curve("train/loss"))


JOB = """
import subprocess, sys, time
from pathlib import Path
from vaelab.sweep import parent_watchdog
parent_watchdog.POLL_SECONDS, parent_watchdog.GRACE_SECONDS = 0.05, 0.5
parent_watchdog.terminate_with_parent()
further = subprocess.Popen(["sleep", "1000"])
Path(sys.argv[1]).write_text(str(further.pid))
asked = Path(sys.argv[1] + ".asked")
while True:
    try:
        time.sleep(1000)
    except SystemExit as stop:
        asked.write_text(str(stop.code))
        if sys.argv[2] == "good":
            further.kill()
            raise
"""
PARENT = """
import os, subprocess, sys, time
environment = os.environ | {"VAELAB_SWEEP": str(os.getpid())}
subprocess.Popen([sys.executable, *sys.argv[1:]], env=environment, start_new_session=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("kind", ["good", "stubborn"])
def test_no_job_outlives_a_killed_sweep_whatever_it_is_at(kind, tmp_path):
    """Asked first, as in an evaluation; then killed, with the processes that it has started."""
    (tmp_path / "job.py").write_text(JOB)
    record = tmp_path / "further"
    arguments = [str(tmp_path / "job.py"), str(record), kind]
    sweep = subprocess.Popen([sys.executable, "-c", PARENT, *arguments])
    try:
        wait_until(lambda: record.exists() and record.read_text())
    finally:
        sweep.kill()
        sweep.wait()
    further = int(record.read_text())
    wait_until(lambda: start_time(further) is None or "Z" in state_of(further), seconds=10)
    assert (tmp_path / "further.asked").read_text() == "143"


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_control_c_interrupts_the_jobs(command, finish, tiny, tmp_path):
    folder = tmp_path / "outputs" / "s" / "sweep"
    overrides = ("hydra/launcher=local", "hydra.launcher.num_jobs=2", "name=s", "seed=0,1")
    sweep = command("-m", *tiny, *overrides, *UNSAVED)
    wait_until(lambda: len(list(folder.glob("*/metrics.csv"))) == 2)
    wait_until(lambda: all(run.read_curve("train/loss") for run in find_runs(folder)))
    pids = [run.status()["pid"] for run in find_runs(folder)]
    sweep.send_signal(signal.SIGINT)
    code, _, err = finish(sweep)
    assert code == 130
    assert "the same command resumes it" in err
    assert "Traceback" not in err
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    for run in find_runs(folder):
        assert run.status()["state"] == "interrupted"
        assert run.last_step >= max(run.read_curve("train/loss"))
