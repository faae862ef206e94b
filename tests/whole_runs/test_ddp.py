"""Two processes train as one does: the same images, noise and losses."""

import pytest

from vaelab.runs.folder import RunFolder

TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")


def test_two_processes_give_the_losses_of_one(run, tiny, tmp_path, command, finish):
    words = ("pixels=dynamic", "eval_batch_size=10", "objective=factor_vae")
    words += ("objective.hidden=[16]",)
    folder = RunFolder(tmp_path / "two")
    code, out, err = finish(command(*tiny, *TWO, *words, f"hydra.run.dir={folder.path}"))
    assert code == 0, err
    assert out.count("ELBO") == 1  # the summary, by the first process alone
    assert folder.status()["state"] == "finished"
    assert [path.name for path in tmp_path.iterdir()] == ["two"]
    one = run(*words, name="one")
    for metric in ("train/loss", "train/kl", "val/elbo", "test/elbo", "val/active_units"):
        curve = one.read_curve(metric)
        assert folder.read_curve(metric) == pytest.approx(curve, rel=1e-5), metric
        assert len(curve) >= 1


def test_two_processes_give_a_class_to_each_image(run, tiny, tmp_path, command, finish):
    words = ("data=dsprites_small", "data.factor_sizes=[3,2,1,8,8]", "data.image_size=16")
    words += (f"data.root={tmp_path / 'data'}", "data.num_val=20", "condition=label")
    words += ("prior=conditional_normal", "objective=vae", "eval_batch_size=10", "labels.num=60")
    folder = RunFolder(tmp_path / "two")
    code, _, err = finish(command(*tiny, *TWO, *words, f"hydra.run.dir={folder.path}"))
    assert code == 0, err
    one = run(*words, name="one")
    for metric in ("train/loss", "train/kl", "val/elbo"):
        assert folder.read_curve(metric) == pytest.approx(one.read_curve(metric), rel=1e-5), metric


def test_two_processes_follow_the_same_controller(run, tiny, tmp_path, command, finish):
    words = (
        "kl_penalty=pi_control",
        "kl_penalty.target=0.1",
        "kl_penalty.ki=0.1",
        "optimizer.lr=0.01",
    )
    words += ("eval_batch_size=10", "trainer.log_every_n_steps=1")
    folder = RunFolder(tmp_path / "two")
    code, _, err = finish(command(*tiny, *TWO, *words, f"hydra.run.dir={folder.path}"))
    assert code == 0, err
    one = run(*words, name="one")
    for metric in ("train/loss", "train/kl", "train/beta"):
        curve = one.read_curve(metric)
        assert folder.read_curve(metric) == pytest.approx(curve, rel=1e-5), metric
    assert len(set(curve.values())) > 1


def test_batch_that_processes_cannot_share_is_refused(tiny, command, finish):
    code, _, err = finish(command(*tiny, *TWO, "batch_size=15"))
    assert code != 0
    assert "batch_size expects a multiple of the number of processes" in err
    assert "got 15 images for 2 processes" in err
