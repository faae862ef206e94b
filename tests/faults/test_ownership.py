"""Of several processes that would work on one run, one does, and the others change nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vaelab.errors import UserError
from vaelab.runs.checkpoint import load_checkpoint
from vaelab.runs.folder import RunFolder, find_runs
from vaelab.runs.status import LostRun, State, require_owner, take_ownership

CONFIG = "seed: 0\n"
OPEN = """
import sys, time
from vaelab.errors import UserError
from vaelab.runs.folder import RunFolder
folder = RunFolder(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    getattr(folder, sys.argv[2])("seed: 0\\n")
except UserError as error:
    print("rejected", error, flush=True)
else:
    print("owner", flush=True)
    sys.stdin.readline()
"""


def start(folder, verb):
    """A process that waits, then claims or reopens, and lives on until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", OPEN, str(folder.path), verb],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def tell(process):
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.fixture
def rivals(tmp_path):
    """verb -> four processes that wait to claim or reopen one folder."""
    started = []

    def begin(verb):
        folder = RunFolder(tmp_path / "run")
        if verb == "reopen" and not folder.path.exists():
            folder.claim(CONFIG)
            folder.set_status(State.INTERRUPTED)
        started[:] = [start(folder, verb) for _ in range(4)]
        return folder, started

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("verb", ["reopen", "claim"])
def test_of_processes_that_start_together_one_gets_the_run(rivals, verb):
    """Again and again with the same processes' folder: 3 rounds of 4."""
    for _ in range(3):
        folder, processes = rivals(verb)
        for process in processes:
            tell(process)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda process: process.stdout.readline(), processes))
        assert sorted(answer.split()[0] for answer in answers) == ["owner", *["rejected"] * 3]
        (owner,) = (p for p, a in zip(processes, answers, strict=True) if a == "owner\n")
        assert folder.status()["pid"] == owner.pid
        for process in processes:
            process.kill()
            process.communicate()
        verb = "reopen"


LONGER = ("num_steps=600", "val_every_n_steps=200", "trainer.log_every_n_steps=100")


@pytest.fixture(scope="module")
def whole(run_tiny, results, tmp_path_factory):
    """The results of the uninterrupted run."""
    return results(run_tiny(tmp_path_factory.mktemp("pairs") / "whole", *LONGER))


@pytest.fixture(scope="module")
def killed(run_tiny, strike, tmp_path_factory):
    """A run that was killed when it saved for the second time."""
    path = tmp_path_factory.mktemp("pairs") / "killed"
    run = lambda path: run_tiny(path, *LONGER)  # noqa: E731
    assert strike(run, path, "link", 1, True) == "killed"
    assert RunFolder(path).last_step == 200
    return path


@pytest.fixture
def resume_twice(killed, whole, results, tmp_path, command, finish):
    """A number: type `resume=` twice at once; one process goes on, to the uninterrupted results."""

    def check(number):
        folder = RunFolder(shutil.copytree(killed, tmp_path / f"run{number}"))
        processes = [command(f"resume={folder.path}") for _ in range(2)]
        ends = sorted(finish(process)[::2] for process in processes)
        assert [code for code, _ in ends] == [0, 2], ends
        assert "expects" in ends[1][1]
        assert "wait for it or stop it first" in ends[1][1]
        assert len(json.loads(folder.provenance.read_text())) == 2
        assert results(folder) == whole

    return check


def test_of_two_commands_that_resume_a_run_one_goes_on(resume_twice):
    resume_twice(0)


@pytest.mark.faults
def test_of_two_commands_that_resume_a_run_one_goes_on_each_of_50_times(resume_twice):
    for number in range(50):
        resume_twice(number)


def test_a_process_that_was_replaced_writes_nothing_more(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.claim(CONFIG)
    folder.add_metrics({"a": 1})
    other = {"state": "running", "pid": 1, "host": "elsewhere", "owner": "theirs"}
    folder.status_file.write_text(json.dumps(folder.status() | other))
    before = {path: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}
    for write in (
        lambda: folder.add_metrics({"a": 2}),
        lambda: folder.set_status(State.FINISHED),
        lambda: require_owner(folder.status_file),
    ):
        with pytest.raises(LostRun, match="process 1 of elsewhere resumed it"):
            write()
    assert before == {path: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}


def test_a_process_that_never_owned_the_run_may_add_scores(tmp_path):
    """An evaluation of a finished run, in a process of its own."""
    folder = RunFolder(tmp_path / "run")
    folder.claim(CONFIG)
    token = json.loads(folder.status_file.read_text())["owner"]
    code = (
        "import sys; from vaelab.runs.folder import RunFolder, State; f = RunFolder(sys.argv[1]);"
        "f.add_metrics({'mig': 1}); f.set_status(State.FINISHED)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder.path)], check=True)
    assert folder.read_metrics() == {"mig": 1}
    assert json.loads(folder.status_file.read_text())["owner"] == token


def test_ownership_taken_again_by_the_same_process_is_kept(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.claim(CONFIG)
    folder.reopen(CONFIG)
    take_ownership(folder.status_file)
    folder.set_status(State.FINISHED)
    assert folder.state() == State.FINISHED


def test_a_killed_run_that_nobody_waited_for_can_be_resumed(tmp_path):
    """In a container without an init process it stays a zombie."""
    folder = RunFolder(tmp_path / "run")
    folder.claim(CONFIG)
    folder.set_status(State.INTERRUPTED)
    process = start(folder, "reopen")
    tell(process)
    assert process.stdout.readline() == "owner\n"
    assert folder.state() == State.RUNNING
    process.kill()
    stat = Path(f"/proc/{process.pid}/stat")
    _wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
    assert folder.state() == State.KILLED
    folder.reopen(CONFIG)
    process.communicate()


SLOW = (
    "num_steps=100000", "callbacks.checkpoints.every_n_steps=10", "val_every_n_steps=1000000",
    "trainer.limit_val_batches=0", "trainer.log_every_n_steps=10",
)  # fmt: skip


def test_a_frozen_run_that_was_resumed_elsewhere_stops_without_a_trace(
    tiny, tmp_path, command, finish
):
    """SIGSTOP, resumed under another host's name after a silence, SIGCONT."""
    frozen = command(*tiny, *SLOW, "hydra.run.dir=run")
    folder = RunFolder(tmp_path / "run")
    _wait_for(lambda: folder.last_checkpoint.exists())
    os.kill(frozen.pid, signal.SIGSTOP)
    status = json.loads(folder.status_file.read_text())
    long_ago = "2020-01-01T00:00:00+00:00"
    folder.status_file.write_text(json.dumps(status | {"host": "elsewhere", "time": long_ago}))
    assert folder.state() == State.KILLED
    RunFolder(folder.path).reopen(folder.config.read_text())  # this process is the other host
    theirs = {path: path.read_bytes() for path in _files(folder)}
    os.kill(frozen.pid, signal.SIGCONT)
    code, _, err = finish(frozen)
    assert code == 2
    assert "resumed it while this one did not respond" in err
    assert "Traceback" not in err
    assert theirs == {path: path.read_bytes() for path in _files(folder)}
    load_checkpoint(folder.last_checkpoint)


def _files(folder):
    return [folder.status_file, folder.config, folder.curves, *folder.path.glob("checkpoints/*")]


def test_two_runs_started_in_one_second_get_a_folder_each(tiny, tmp_path, command, finish):
    short = [one for one in tiny if not one.startswith("callbacks")] + [
        "callbacks=[]",
        "name=twins",
    ]
    processes = [command(*short) for _ in range(3)]
    assert [finish(process)[0] for process in processes] == [0, 0, 0]
    runs = find_runs(tmp_path / "outputs" / "twins")
    assert [run.state() for run in runs] == [State.FINISHED] * 3


def test_leftovers_of_a_kill_are_removed_by_the_next_owner(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.claim(CONFIG)
    (folder.path / "checkpoints").mkdir()
    part = folder.path / "checkpoints" / ".last.ckpt.0123.part"
    part.write_bytes(b"half")
    folder.reopen(CONFIG)
    assert not part.exists()


def test_a_folder_of_a_run_killed_before_its_config_can_be_used(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.status_file.write_text("")
    with pytest.raises(UserError, match="expected a run folder"):
        folder.reopen(CONFIG)
    folder.claim(CONFIG)
    assert folder.state() == State.RUNNING


def _wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
