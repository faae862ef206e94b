"""What stops a run leaves a sentence, a true status and the last good checkpoint."""

import errno
import json
import os

import pytest
import torch

from vaelab.errors import UserError
from vaelab.objectives import BetaVAE
from vaelab.runs.folder import RunFolder


@pytest.fixture
def failed(run, tmp_path):
    """(error, words) -> the folder of a run that ends with it, and the error's message."""

    def fail(error, *words):
        with pytest.raises(error) as caught:
            run(*words)
        return RunFolder(tmp_path / "run"), str(caught.value)

    return fail


def assert_finite(path):
    checkpoint = torch.load(path, weights_only=True)
    states = [s for o in checkpoint["optimizer_states"] for s in o["state"].values()]
    for tensor in [*checkpoint["state_dict"].values(), *(v for s in states for v in s.values())]:
        assert tensor.isfinite().all()


def test_nan_stops_with_step_term_and_last_good_checkpoint(failed, monkeypatch):
    forward = BetaVAE.forward

    def spoiled(objective, model, x, step):
        terms = forward(objective, model, x, step)
        if step == 7:
            terms["kl"] = terms["kl"] * torch.nan
            terms["loss"] = terms["loss"] + terms["kl"]
        return terms

    monkeypatch.setattr(BetaVAE, "forward", spoiled)
    folder, message = failed(UserError)
    assert "kl = nan at step 7" in message
    assert f"{folder.last_checkpoint} (step 4)" in message
    assert folder.status()["state"] == "failed"
    assert message in folder.status()["error"]
    assert folder.last_step == 4
    assert_finite(folder.last_checkpoint)


def test_divergence_is_not_saved(failed):
    folder, message = failed(UserError, "optimizer.lr=1e30")
    assert "none, the run stopped before its first" in message
    assert not folder.last_checkpoint.exists()


def test_full_disk_leaves_the_checkpoint_before(failed, at_step, monkeypatch):
    fsync = os.fsync

    def full(descriptor):
        if os.fstat(descriptor).st_size > 10_000:  # a checkpoint; a status still fits
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    at_step(6, lambda: monkeypatch.setattr(os, "fsync", full))
    folder, message = failed(UserError)
    assert os.strerror(errno.ENOSPC) in message
    assert "resume=" in message
    assert folder.status()["state"] == "failed"
    assert folder.last_step == 4
    assert_finite(folder.last_checkpoint)
    assert {path.name for path in folder.last_checkpoint.parent.iterdir()} == {
        "last.ckpt",
        "best.ckpt",
    }


def test_control_c_is_an_interruption(failed, at_step):
    def press():
        raise KeyboardInterrupt

    at_step(6, press)
    folder, _ = failed((KeyboardInterrupt, SystemExit))
    assert folder.status()["state"] == "interrupted"
    assert folder.last_step == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("trainer.precision=16-mixed", "trainer.precision=16-mixed expects a GPU"),
        ("trainer.precision=bf16-mixed trainer.gradient_clip_val=1", "optimizer.fused=false"),
        ("+trainer.accumulate_grad_batches=2", "use a larger batch_size"),
        ("data.root=nowhere.npy", "data.root expects a .npy or .npz file of images"),
    ],
)
def test_wrong_setting_is_refused_before_training(failed, words, sentence):
    folder, message = failed(UserError, *words.split())
    assert sentence in message
    assert json.loads(folder.status_file.read_text())["state"] == "failed"
    assert not folder.last_checkpoint.exists()
