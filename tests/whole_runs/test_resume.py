"""A run that was stopped and resumed is the run that was not stopped."""

import os
import signal
import socket
import time

import pytest
import torch
from hydra import initialize_config_dir

from vaelab.cli.hydra_app import CONF
from vaelab.errors import UserError
from vaelab.files import write_json
from vaelab.runs.folder import RunFolder
from vaelab.runs.resume import resumed_config
from vaelab.train import train

MOVING = ("kl_penalty=linear", "kl_penalty.num_steps=8", "pixels=dynamic", "lr_scheduler=cosine")
# Without m2, which needs labels and is among CONDITIONS.
OBJECTIVES = sorted({path.stem for path in (CONF / "objective").glob("*.yaml")} - {"m2"})
SMALL = {
    "factor_vae": ("objective.hidden=[16,16]",),
    "enumerated": ("posterior=categorical", "prior=categorical"),
    "em": ("posterior=exact", "prior=categorical", "model.hidden=[]", "batch_size=192"),
}
EMA = ("callbacks=[checkpoints,ema]", "callbacks.ema.decay=0.9")


class Killed(Exception):
    """What ends the process in these tests, with no chance to save."""


@pytest.fixture
def stopped(run, at_step, tmp_path):
    """(step, words) -> the folder of a run that ended when it got to the step."""

    def stop(step, *words):
        def kill():
            raise Killed

        at_step(step, kill)
        with pytest.raises(Killed):
            run(*words, name="stopped")
        at_step(step, lambda: None)
        return RunFolder(tmp_path / "stopped")

    return stop


@pytest.fixture
def going_on():
    """(folder, words) -> the config to resume with, as the command line would find it."""

    def config(folder, *words):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return resumed_config(str(folder.path), [f"resume={folder.path}", *words])

    return config


def content(folder):
    """All of last.ckpt except how long it took, and the digest, which covers that too."""
    checkpoint = torch.load(folder.last_checkpoint, weights_only=True)
    del checkpoint["callbacks"]["Stopwatch"], checkpoint["digest"]
    return checkpoint


def assert_same(a, b, where="checkpoint"):
    """Equal bit by bit."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert list(a) == list(b), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (left, right) in enumerate(zip(a, b, strict=True)):
            assert_same(left, right, f"{where}.{i}")
    else:
        assert a == b, where


# Before the first save, just after a validation, just after a save, and between.
@pytest.mark.parametrize("step", [2, 4, 5, 7, 11])
@pytest.mark.parametrize("averaging", [(), EMA], ids=["plain", "ema"])
def test_resumed_is_uninterrupted(step, averaging, whole_run, stopped, resume):
    words = (*MOVING, *averaging, "callbacks.checkpoints.every_n_steps=5")
    whole, parts = whole_run(*words), resume(stopped(step, *words))
    assert parts.curves.read_text() == whole.curves.read_text()
    assert_same(content(parts), content(whole))
    same = {k for k in whole.read_metrics() if k not in ("seconds", "images_per_second")}
    assert {k: parts.read_metrics()[k] for k in same} == {k: whole.read_metrics()[k] for k in same}
    assert parts.status()["state"] == "finished"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_resumes(name, run, stopped, resume):
    words = (f"objective={name}", *SMALL.get(name, ()), "callbacks.checkpoints.every_n_steps=5")
    whole, parts = run(*words, name="whole"), resume(stopped(7, *words))
    assert parts.curves.read_text() == whole.curves.read_text()
    assert_same(content(parts), content(whole))


@pytest.mark.parametrize("likelihood", ["gaussian_learned", "gaussian_optimal"])
def test_resumed_sigma_is_uninterrupted(likelihood, run, stopped, resume):
    words = (f"likelihood={likelihood}", "lr_scheduler=cosine", "trainer.log_every_n_steps=1")
    words += ("callbacks.checkpoints.every_n_steps=5",)
    whole, parts = run(*words, name="whole"), resume(stopped(7, *words))
    assert parts.curves.read_text() == whole.curves.read_text()
    assert_same(content(parts), content(whole))
    assert len(set(whole.read_curve("train/sigma").values())) > 5


def of_classes(tmp_path):
    """The words of a data set with labels and factors, in place of images alone."""
    sprites = ("data=dsprites_small", "data.factor_sizes=[3,2,1,8,8]", "data.image_size=16")
    return (*sprites, f"data.root={tmp_path}", "data.num_val=20", "objective=vae")


CONDITIONS = {
    "label": ("condition=label", "pixels=dynamic"),
    "factors": ("condition=factors", "condition.factors=[shape,posX]", "prior=conditional_normal"),
    "few labels": ("condition=label", "labels.num=30", "labels.seed=1"),
    "m2": (
        *("condition=label", "condition.classifier=true", "labels.num=30", "labels.per_batch=4"),
        "objective=m2",
    ),
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_resumed_classes_are_uninterrupted(condition, run, stopped, resume, tmp_path):
    words = (*of_classes(tmp_path), *CONDITIONS[condition], "callbacks.checkpoints.every_n_steps=5")
    whole, parts = run(*words, name="whole"), resume(stopped(7, *words))
    assert parts.curves.read_text() == whole.curves.read_text()
    assert_same(content(parts), content(whole))
    assert content(whole)["class_sizes"] == ([3, 8] if condition == "factors" else [3])


CONTROLLERS = {
    "geco": ("kl_penalty.target=30", "kl_penalty.rate=0.01"),
    "pi_control": ("kl_penalty.target=1", "kl_penalty.ki=0.1"),
}


@pytest.mark.parametrize("kl_penalty", CONTROLLERS)
@pytest.mark.parametrize("averaging", [(), EMA], ids=["plain", "ema"])
def test_resumed_controller_is_uninterrupted(kl_penalty, averaging, run, stopped, resume):
    words = (f"kl_penalty={kl_penalty}", *CONTROLLERS[kl_penalty], *averaging)
    words += ("callbacks.checkpoints.every_n_steps=5", "trainer.log_every_n_steps=1")
    whole, parts = run(*words, name="whole"), resume(stopped(7, *words))
    assert parts.curves.read_text() == whole.curves.read_text()
    assert_same(content(parts), content(whole))
    assert len(set(whole.read_curve("train/beta").values())) > 5


def test_killed_process_resumes_from_the_command_line(run, tiny, tmp_path, command, finish):
    words = (*MOVING, "num_steps=600", "val_every_n_steps=200")
    words += ("callbacks.checkpoints.every_n_steps=70", "trainer.log_every_n_steps=10")
    folder = RunFolder(tmp_path / "killed")
    process = command(*tiny, *words, f"hydra.run.dir={folder.path}")
    deadline = time.monotonic() + 60
    while not (folder.curves.exists() and max(folder.read_curve("train/loss"), default=0) >= 80):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert finish(process)[0] == -signal.SIGKILL
    assert folder.status()["state"] == "killed"
    assert 70 <= folder.last_step < 600

    code, out, err = finish(command(f"resume={folder.path}"))
    assert code == 0, err
    assert str(folder.path.relative_to(tmp_path)) in out
    whole = run(*words, name="whole")
    assert folder.curves.read_text() == whole.curves.read_text()
    assert_same(content(RunFolder(folder.path)), content(whole))


def test_more_steps_go_on(run, going_on):
    whole = run(name="whole")
    short = run("num_steps=8", name="short")
    train(going_on(short, "num_steps=12"), short.path, [])
    assert short.read_curve("val/elbo") == whole.read_curve("val/elbo")
    assert_same(content(short)["state_dict"], content(whole)["state_dict"])
    assert content(short)["config"]["num_steps"] == 12


@pytest.mark.parametrize(
    ("words", "row"),
    [
        (["objective.beta=8"], "objective.beta: 4 -> 8"),
        (["num_steps=4"], "num_steps: 12 -> 4"),
        (["num_steps=20", "seed=1"], "seed: 0 -> 1"),
        (["kl_penalty=linear"], "objective.kl_penalty._target_: vaelab.kl_penalties.Constant -> "),
    ],
)
def test_changed_setting_is_refused(run, going_on, words, row):
    folder = run("callbacks=[]", "logger=[]")
    with pytest.raises(UserError, match="resume expects the settings") as refusal:
        going_on(folder, *words)
    assert row in str(refusal.value)


def test_repeated_setting_is_no_change(run, going_on):
    folder = run("callbacks=[]", "logger=[]")
    assert going_on(folder, "latent_dim=3").resume == str(folder.path)


def test_finished_run_stays_as_it_is(run, resume):
    folder = run()
    curves, checkpoint = folder.curves.read_text(), content(folder)
    resume(folder)
    assert folder.curves.read_text() == curves
    assert_same(content(folder), checkpoint)


def test_running_process_is_refused(run, resume):
    folder = run()
    alive = {"state": "running", "pid": os.getppid(), "host": socket.gethostname()}
    write_json(folder.status_file, alive)
    with pytest.raises(UserError, match=f"process {os.getppid()} is still working"):
        resume(folder)
    assert folder.status() == alive


def test_missing_folder_is_refused_and_not_made(going_on, tmp_path):
    folder = RunFolder(tmp_path / "none")
    with pytest.raises(UserError, match="expected a run folder"):
        going_on(folder)
    assert not folder.path.exists()


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def of_another_program(path):
    torch.save({"weights": torch.zeros(3)}, path)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (cut, "is damaged: it can't be read; best.ckpt and previous.ckpt"),
        (of_another_program, "written by another program"),
    ],
)
def test_bad_checkpoint_is_refused(run, resume, damage, sentence):
    folder = run()
    damage(folder.last_checkpoint)
    with pytest.raises(UserError, match=sentence):
        resume(folder)
    assert folder.status()["state"] == "failed"
