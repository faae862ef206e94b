"""Runs of twelve steps in this process, new and resumed."""

import pytest

from vaelab.runs.folder import RunFolder
from vaelab.runs.resume import resumed_config
from vaelab.train import train


@pytest.fixture(scope="session")
def run_tiny(compose, tiny):
    """(folder, overrides) -> the run folder of a finished run."""

    def run(path, *overrides):
        train(compose(*tiny, *overrides), path, [*tiny, *overrides])
        return RunFolder(path)

    return run


@pytest.fixture(scope="session")
def resume_tiny(compose):
    """A run folder -> the same after resuming it."""

    def resume(folder):
        compose()  # makes Hydra's resolvers known
        train(resumed_config(str(folder.path), [f"resume={folder.path}"]), folder.path, [])
        return folder

    return resume
