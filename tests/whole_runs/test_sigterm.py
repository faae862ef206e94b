"""SIGTERM and Ctrl-C end training in good order: saved at the step, gone on with bit for bit."""

import os
import signal
import time

import pytest
import torch
from torch.utils._pytree import tree_flatten

from vaelab.runs.folder import RunFolder
from vaelab.runs.signals import Terminated
from vaelab.training.module import TrainingModule

MOVING = ("kl_penalty=linear", "kl_penalty.num_steps=8", "pixels=dynamic", "lr_scheduler=cosine")
SPARSE = ("callbacks.checkpoints.every_n_steps=100", "trainer.log_every_n_steps=1")


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def press_control_c():
    os.kill(os.getpid(), signal.SIGINT)


def content(folder):
    """All of last.ckpt except how long it took, and the digest, which covers that too."""
    checkpoint = torch.load(folder.last_checkpoint, weights_only=True)
    del checkpoint["callbacks"]["Stopwatch"], checkpoint["digest"]
    return checkpoint


def assert_uninterrupted(parts, whole):
    """The same metrics.csv, and the same last.ckpt bit for bit."""
    assert parts.curves.read_text() == whole.curves.read_text()
    (left, shape), (right, same) = (tree_flatten(content(folder)) for folder in (parts, whole))
    assert shape == same
    for a, b in zip(left, right, strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    assert parts.status()["state"] == "finished"


# In the first step, between, in the step before a validation, and in the last one.
@pytest.mark.parametrize("step", [0, 5, 7, 11])
def test_step_is_finished_saved_and_gone_on_with(step, run, whole_run, at_step, resume, tmp_path):
    whole = whole_run(*MOVING, *SPARSE)
    before = signal.getsignal(signal.SIGTERM)
    at_step(step, terminate)
    with pytest.raises(Terminated) as ended:
        run(*MOVING, *SPARSE, name="parts")
    at_step(step, lambda: None)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    parts = RunFolder(tmp_path / "parts")
    assert parts.status()["state"] == "interrupted"
    assert parts.last_step == step + 1
    assert_uninterrupted(resume(parts), whole)


def test_control_c_saves_the_step_too(run, whole_run, at_step, resume, tmp_path, capfd):
    whole = whole_run(*MOVING, *SPARSE)
    at_step(5, press_control_c)
    with pytest.raises(Terminated) as ended:
        run(*MOVING, *SPARSE, name="parts")
    at_step(5, lambda: None)
    assert ended.value.code == 130
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "press it again to stop at once" in capfd.readouterr().err
    parts = RunFolder(tmp_path / "parts")
    assert parts.status()["state"] == "interrupted"
    assert parts.last_step == 6
    assert_uninterrupted(resume(parts), whole)


def test_control_c_pressed_twice_does_not_wait_for_the_step(run, at_step, tmp_path):
    def twice():
        press_control_c()
        press_control_c()

    at_step(5, twice)
    with pytest.raises(SystemExit):  # Lightning makes it of KeyboardInterrupt
        run(*SPARSE)
    parts = RunFolder(tmp_path / "run")
    assert parts.status()["state"] == "interrupted"
    assert parts.last_step == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_control_c_that_a_shell_ignores_stays_ignored(run, at_step):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        at_step(5, press_control_c)
        assert run(*SPARSE).status()["state"] == "finished"
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("ask", [terminate, press_control_c])
def test_the_test_of_the_final_weights_ends_at_once(ask, run, resume, tmp_path, monkeypatch):
    seen, whole = [], TrainingModule.test_step

    def test_step(module, x, batch_idx):
        seen.append(batch_idx)
        ask()
        return whole(module, x, batch_idx)

    monkeypatch.setattr(TrainingModule, "test_step", test_step)
    words = (*SPARSE, "eval_batch_size=5")
    with pytest.raises(SystemExit):
        run(*words)
    folder = RunFolder(tmp_path / "run")
    assert seen == [0]
    assert (folder.status()["state"], folder.last_step) == ("interrupted", 12)
    monkeypatch.setattr(TrainingModule, "test_step", whole)
    assert "test/elbo" in resume(folder).read_metrics()


def test_validation_is_finished_first(run, whole_run, resume, tmp_path, monkeypatch):
    whole = whole_run(*MOVING, *SPARSE)
    validation_step = TrainingModule.validation_step

    def patched(module, x, batch_idx):
        if module.trainer.global_step == 8 and batch_idx == 0:
            terminate()
        return validation_step(module, x, batch_idx)

    monkeypatch.setattr(TrainingModule, "validation_step", patched)
    with pytest.raises(Terminated):
        run(*MOVING, *SPARSE, "eval_batch_size=5", name="parts")
    monkeypatch.setattr(TrainingModule, "validation_step", validation_step)
    parts = RunFolder(tmp_path / "parts")
    assert 8 in parts.read_curve("val/elbo")
    assert parts.last_step == 9
    resume(parts)
    small = run(*MOVING, *SPARSE, "eval_batch_size=5", name="small")
    assert_uninterrupted(parts, small)
    assert whole.read_curve("train/loss") == parts.read_curve("train/loss")


def test_killed_program_says_how_to_go_on(tiny, tmp_path, command, finish):
    folder = RunFolder(tmp_path / "run")
    process = command(
        *tiny, "num_steps=100000", "trainer.log_every_n_steps=10", f"hydra.run.dir={folder.path}"
    )
    deadline = time.monotonic() + 60
    while not (folder.curves.exists() and folder.read_curve("train/loss")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == 143
    assert f"resume it with resume={folder.path.name}" in err
    assert "Traceback" not in err
    assert folder.status()["state"] == "interrupted"
    # of step 10 at least, though nothing was to be saved before 100,000 but after validations
    assert folder.last_step >= max(folder.read_curve("train/loss"))


def test_processes_that_train_together_end_at_the_same_step(
    run, tiny, tmp_path, command, finish, resume
):
    words = ("num_steps=100", "val_every_n_steps=50", "trainer.log_every_n_steps=1")
    folder = RunFolder(tmp_path / "two")
    two = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "eval_batch_size=10")
    process = command(*tiny, *words, *two, f"hydra.run.dir={folder.path}")
    deadline = time.monotonic() + 90
    while not (folder.curves.exists() and folder.read_curve("train/loss")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == 143, err
    assert folder.status()["state"] == "interrupted"
    assert 0 < folder.last_step < 100
    code, _, err = finish(command(f"resume={folder.path}"))
    assert code == 0, err
    one = run(*words, "eval_batch_size=10", name="one")
    curve = folder.read_curve("train/loss")
    assert curve == pytest.approx(one.read_curve("train/loss"), rel=1e-4)
    assert len(curve) == 100
