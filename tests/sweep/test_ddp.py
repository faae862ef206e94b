"""A job of two processes, which Lightning starts from the job's own."""

import pytest
from hydra import initialize_config_dir

from vaelab.cli.hydra_app import CONF
from vaelab.sweep.jobs import plan
from vaelab.sweep.launchers import Serial

TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "eval_batch_size=10")


def test_two_processes_give_the_numbers_of_one(tiny, tmp_path):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        [two] = plan(tmp_path / "two", [[*tiny, *TWO, "seed=1"]], [])
        [one] = plan(tmp_path / "one", [[*tiny, "eval_batch_size=10", "seed=1"]], [])
    assert [done.reason for done in Serial().launch([two])] == [None]
    assert [done.reason for done in Serial().launch([one])] == [None]
    assert (two.state(), one.state()) == ("finished", "finished")
    for metric in ("train/loss", "train/kl", "val/elbo", "test/elbo", "val/active_units"):
        curve = one.folder.read_curve(metric)
        assert two.folder.read_curve(metric) == pytest.approx(curve, rel=1e-5), metric
        assert len(curve) >= 1
