"""Output that goes away, and places that can't be written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vaelab.runs.folder import find_runs
from vaelab.runs.status import State

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def shell(tiny, tmp_path):
    """A command line with {train} for the program and its overrides -> (exit code, output)."""

    def run(line, **environment):
        kept = [one for one in tiny if not one.startswith(("callbacks", "trainer.enable_progress"))]
        train = f"{sys.executable} {SCRIPTS / 'train.py'} " + " ".join(f"'{one}'" for one in kept)
        done = subprocess.run(
            ["bash", "-c", "set -o pipefail; " + line.replace("{train}", train)],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize(
    "line",
    [
        "{train} name=a 'callbacks=[checkpoints,progress]' 2>&1 | head -1",
        "{train} name=a 'callbacks=[checkpoints,progress]' > /dev/full 2> /dev/full",
        "{train} name=a 'callbacks=[checkpoints,progress]' >&- 2>&-",
        "env -u HOME {train} name=a 'callbacks=[checkpoints]'",
    ],
    ids=["head", "full", "closed", "no_home"],
)
def test_lost_output_ends_no_run(shell, tmp_path, line):
    _, out = shell(line)
    assert "Traceback" not in out
    (run,) = find_runs(tmp_path / "outputs")
    assert run.state() == State.FINISHED


@pytest.mark.parametrize(
    "override",
    ["output_root=/dev/null", "output_root=file", "output_root=/proc/none", "hydra.run.dir=file"],
)
def test_places_that_cannot_be_written_are_one_sentence(shell, tmp_path, override):
    (tmp_path / "file").write_text("")
    code, out = shell("{train} " + override)
    assert code == 2
    assert "Traceback" not in out
    assert "expected to write" in out


@pytest.mark.parametrize("delay", [0.1, 0.4, 1.0, 2.0])
def test_control_c_while_starting_shows_no_trace(cold_command, finish, tiny, delay):
    process = cold_command(*tiny, "num_steps=100000")
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code != 0
    # Before any line of ours runs, the trace is Python's own.
    assert "Traceback" not in err or "vaelab" not in err
