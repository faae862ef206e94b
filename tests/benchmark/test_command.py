"""scripts/benchmark.py as it is typed, and its contestants as they are started."""

import os
import subprocess

import pytest
from benchmark import measure
from benchmark.command import run

from vaelab.errors import UserError

BENCHMARK = measure.SCRIPTS / "benchmark.py"


def test_help_describes_every_argument(command, finish):
    code, out, _ = finish(command("--help", script=BENCHMARK))
    assert code == 0
    for word in ("PART", "--repeats N", "--peer FOLDER", "--write FILE", "examples:", "gpu"):
        assert word in out


def test_unknown_part_is_rejected_with_a_suggestion(command, finish):
    code, out, err = finish(command("trainin", script=BENCHMARK))
    assert (code, out) == (2, "")
    assert "PART expects one of training, start, metrics, objectives, gpu, got 'trainin'" in err
    assert "did you mean training?" in err


def test_less_than_one_round_is_rejected():
    with pytest.raises(UserError, match="--repeats expects an integer of at least 1"):
        run(["metrics"], repeats=0)


def test_contestants_find_the_package():
    assert measure._plain("mlp", 1, "cpu", "tuned") > 0


def test_hook_is_found_by_a_run(tiny, tmp_path):
    stamp = tmp_path / "first_step"
    hook = f"+callbacks.first_step={{_target_: benchmark.hooks.FirstStep, path: {stamp}}}"
    subprocess.run(
        [*measure.TRAIN, *tiny, hook, f"hydra.run.dir={tmp_path}/run"],
        check=True, env=os.environ, cwd=tmp_path, capture_output=True,
    )  # fmt: skip
    assert float(stamp.read_text()) > 0
