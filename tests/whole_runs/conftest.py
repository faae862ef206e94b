"""Runs of a second in this process."""

import functools

import pytest

from vaelab.runs.folder import RunFolder
from vaelab.runs.resume import resumed_config
from vaelab.train import train
from vaelab.training.module import TrainingModule


@pytest.fixture
def run(compose, tiny, tmp_path):
    """Words -> the folder of a new run of `tiny` with them."""

    def new(*words, name="run"):
        train(compose(*tiny, *words), tmp_path / name, [*tiny, *words])
        return RunFolder(tmp_path / name)

    return new


@pytest.fixture(scope="module")
def whole_run(compose, tiny, tmp_path_factory):
    """Words -> the folder of the uninterrupted run of `tiny` with them, trained once per file."""

    @functools.cache
    def once(*words):
        path = tmp_path_factory.mktemp("whole") / "run"
        train(compose(*tiny, *words), path, [*tiny, *words])
        return RunFolder(path)

    return once


@pytest.fixture
def resume():
    """A run folder -> the same after resuming it."""

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
