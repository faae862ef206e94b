"""A kill or a full disk at any moment leaves a run that can be resumed, or started anew.

As SQLite tests itself: the n-th rename, synchronisation, link, new folder, opening or writing of a
file ends the process (kill) or fails (full disk), for every n; then the run is brought to its end
and must equal the uninterrupted one bit for bit. A sweep of two jobs, evaluated, is brought to its
end by the same command. The suite tries some n, `make faults` all.
"""

import contextlib

import numpy as np
import pytest
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from vaelab.cli.hydra_app import CONF, register_resolvers
from vaelab.errors import UserError
from vaelab.runs.folder import RunFolder, find_runs
from vaelab.runs.status import State
from vaelab.sweep.grid import run_grid
from vaelab.sweep.status import find_jobs, list_jobs

NUM_TRIED = 1  # of each operation and end in the suite
OPERATIONS = ("replace", "fsync", "link", "mkdir", "open", "write")
SERIAL = OmegaConf.load(CONF / "hydra" / "launcher" / "serial.yaml")

all_ends = pytest.mark.parametrize("kills", [True, False], ids=["kill", "full_disk"])
all_operations = pytest.mark.parametrize("operation", OPERATIONS)


@pytest.fixture(scope="module")
def whole(run_tiny, tmp_path_factory):
    """The uninterrupted run."""
    return run_tiny(tmp_path_factory.mktemp("kill") / "whole")


@pytest.fixture(scope="module")
def num_calls(whole, count_calls, run_tiny, tmp_path_factory):
    """operation -> how often a run does it."""
    return count_calls(run_tiny, tmp_path_factory.mktemp("count") / "run")


@pytest.fixture
def check_run(whole, strike, results, run_tiny, resume_tiny, partial_files, tmp_path):
    """(operation, n, kills): strike a run, bring it to its end, compare it."""

    def finish(folder):
        """What a user would do: resume the run, or start it anew where there is none to resume."""
        try:
            state = folder.state()
        except UserError:
            return run_tiny(folder.path)
        return folder if state == State.FINISHED else resume_tiny(RunFolder(folder.path))

    def check(operation, n, kills):
        folder = RunFolder(tmp_path / f"run{n}")
        ending = strike(run_tiny, folder.path, operation, n, kills)
        assert ending in (["killed"] if kills else ["well", "sentence"]), (n, ending)
        done = finish(folder)
        assert done.state() == State.FINISHED, n
        assert results(done) == results(whole), n
        assert not partial_files(done.path), n

    return check


@pytest.fixture(scope="module")
def sweep(tiny):
    """A folder: the command of a sweep of two jobs, evaluated."""
    shorter = ["num_steps=4", "val_every_n_steps=2", "trainer.log_every_n_steps=2"]

    def run(folder):
        register_resolvers()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            run_grid(folder, [*tiny, *shorter, "metrics@evaluation=[elbo]", "seed=0,1"], SERIAL)

    return run


@pytest.fixture(scope="module")
def whole_sweep(sweep, results, tmp_path_factory):
    """{name of the folder: results} of the uninterrupted sweep."""
    path = tmp_path_factory.mktemp("kill") / "sweep"
    sweep(path)
    return {run.path.name: results(run) for run in find_runs(path)}


@pytest.fixture(scope="module")
def num_calls_of_sweep(whole_sweep, count_calls, sweep, tmp_path_factory):
    """operation -> how often a sweep does it."""
    return count_calls(sweep, tmp_path_factory.mktemp("count") / "sweep")


@pytest.fixture
def check_sweep(whole_sweep, strike, results, sweep, partial_files, tmp_path):
    """(operation, n, kills): strike a sweep, type the same command, compare all its jobs."""

    def check(operation, n, kills):
        path = tmp_path / f"sweep{n}"
        ending = strike(sweep, path, operation, n, kills)
        assert ending in (["killed"] if kills else ["well", "sentence"]), (n, ending)
        with contextlib.suppress(UserError):  # before there is any job
            assert list(list_jobs(find_jobs(path))), n
        sweep(path)
        assert {run.path.name: results(run) for run in find_runs(path)} == whole_sweep, n
        assert all(job.is_complete() for job in find_jobs(path)), n
        assert not partial_files(path), n

    return check


@pytest.fixture
def count(capsys):
    """Moments: print how many were tried."""

    def show(operation, kills, moments):
        with capsys.disabled():
            print(f"\n{len(moments)} moments: {operation}, {'kill' if kills else 'full disk'}")

    return show


def some(operation, kills, num_calls):
    rng = np.random.default_rng([OPERATIONS.index(operation), kills])
    return (rng.choice(num_calls[operation], NUM_TRIED, replace=False) + 1).tolist()


@all_ends
@all_operations
def test_some_moments_of_a_run(operation, kills, num_calls, check_run):
    for n in some(operation, kills, num_calls):
        check_run(operation, n, kills)


@all_ends
@all_operations
def test_some_moments_of_a_sweep(operation, kills, num_calls_of_sweep, check_sweep):
    for n in some(operation, kills, num_calls_of_sweep):
        check_sweep(operation, n, kills)


@pytest.mark.faults
@all_ends
@all_operations
def test_every_moment_of_a_run(operation, kills, num_calls, check_run, count):
    moments = range(1, num_calls[operation] + 1)
    assert moments
    for n in moments:
        check_run(operation, n, kills)
    count(operation, kills, moments)


@pytest.mark.faults
@all_ends
@all_operations
def test_every_moment_of_a_sweep(operation, kills, num_calls_of_sweep, check_sweep, count):
    moments = range(1, num_calls_of_sweep[operation] + 1)
    assert moments
    for n in moments:
        check_sweep(operation, n, kills)
    count(operation, kills, moments)
