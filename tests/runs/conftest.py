"""Runs of a second: a tiny network on 240 grey images, in this process or on the command line."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vaelab.resume import resumed_config
from vaelab.run_folder import RunFolder
from vaelab.train import train
from vaelab.training_module import TrainingModule

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The command line of a run of 12 steps that validates and saves every 4."""
    file = tmp_path_factory.mktemp("images") / "grey.npy"
    np.save(file, np.random.default_rng(0).integers(0, 256, (240, 8, 8), dtype=np.uint8))
    return (
        *("data_root=unused", "data=array", f"data.root={file}"),
        *("model=mlp", "model.hidden=[16]", "latent_dim=3"),
        *("batch_size=16", "num_steps=12", "val_every_n_steps=4", "num_threads=1"),
        *("trainer.log_every_n_steps=3", "trainer.enable_progress_bar=false"),
        *("callbacks=[checkpoints]", "logger=[csv]"),
    )


@pytest.fixture
def run(compose, tiny, tmp_path):
    """Words -> the folder of a new run of `tiny` with them."""

    def new(*words, name="run"):
        train(compose(*tiny, *words), tmp_path / name, [*tiny, *words])
        return RunFolder(tmp_path / name)

    return new


@pytest.fixture
def resume():
    """A run folder -> the same after going on with it."""

    def again(folder):
        words = [f"resume={folder.path}"]
        train(resumed_config(str(folder.path), words), folder.path, words)
        return RunFolder(folder.path)

    return again


@pytest.fixture
def at_step(monkeypatch):
    """(step, action): call the action when training gets to a step."""
    training_step = TrainingModule.training_step

    def patch(step, action):
        def patched(module, x, batch_idx):
            if module.trainer.global_step == step:
                action()
            return training_step(module, x, batch_idx)

        monkeypatch.setattr(TrainingModule, "training_step", patched)

    return patch


@pytest.fixture
def command(tmp_path):
    """Words -> the started process of a script with them, in an empty directory."""
    processes = []

    def start(*words, script=SCRIPT, **environment):
        process = subprocess.Popen(
            [sys.executable, str(script), *words],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def finish():
    """A process of `command` -> (exit code, standard output, standard error)."""

    def wait(process):
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    return wait
