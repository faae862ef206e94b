"""A run of a target is trained once, gone on with if it was stopped, and never changed."""

import pytest

from vaelab.errors import UserError
from vaelab.reproduction.runs import train_once
from vaelab.run_folder import RunFolder


@pytest.fixture
def once(compose, tiny, tmp_path):
    """Words -> the folder of the run of `tiny` with them, the same at each call."""
    return lambda *words: train_once(compose(*tiny, *words), tmp_path / "run", [*tiny, *words])


def test_finished_run_is_left_alone(once):
    first = once().status()
    assert first["state"] == "finished"
    assert once().status() == first


def test_stopped_run_is_gone_on_with(once, at_step, tmp_path):
    words = ("callbacks.checkpoints.every_n_steps=5",)

    def stop():
        raise KeyboardInterrupt

    at_step(7, stop)
    with pytest.raises(SystemExit):  # as Lightning turns a Ctrl-C into
        once(*words)
    stopped = RunFolder(tmp_path / "run")
    assert stopped.status()["state"] == "interrupted"
    assert stopped.last_step == 5
    at_step(7, lambda: None)
    folder = once(*words)
    assert folder.status()["state"] == "finished"
    assert list(folder.read_curve("train/loss")) == [3, 6, 9, 12]


def test_number_of_threads_may_differ(once):
    assert once().status() == once("num_threads=2").status()


def test_other_settings_are_refused_by_name(once):
    before = once().status()
    with pytest.raises(UserError, match=r"got others for latent_dim, seed; move that folder away"):
        once("seed=1", "latent_dim=4")
    assert once().status() == before
