"""metrics.csv stays whole over kills and resumes."""

import errno
from pathlib import Path

import pytest
import torch

from vaelab.errors import UserError
from vaelab.runs.checkpoint import save_checkpoint
from vaelab.runs.folder import RunFolder
from vaelab.runs.loggers import MetricsCSV, tensorboard

HEADER = "step,metric,value\n"


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def checkpoint_at(folder, step):
    folder.last_checkpoint.parent.mkdir()
    save_checkpoint({"state_dict": {}, "config": {}, "global_step": step}, folder.last_checkpoint)


def test_rows_are_appended_as_they_come(folder):
    logger = MetricsCSV(folder)
    assert folder.curves.read_text() == HEADER
    logger.log_metrics({"train/loss": 1.5, "train/kl": 2}, 10)
    logger.log_metrics({"val/elbo": torch.tensor(-3.0)}, 20)
    assert folder.curves.read_text() == (
        HEADER + "10,train/loss,1.5\n10,train/kl,2.0\n20,val/elbo,-3.0\n"
    )


def test_values_come_back_to_the_last_digit(folder):
    value = 0.1 + 0.2
    MetricsCSV(folder).log_metrics({"a": value, "b": float("inf")}, 0)
    assert folder.read_curve("a") == {0: value}
    assert folder.read_curve("b") == {0: float("inf")}


def test_a_resumed_run_keeps_rows_up_to_the_checkpoint_and_drops_later_ones(folder):
    MetricsCSV(folder)
    with folder.curves.open("a") as file:
        file.write("5,a,1.0\n10,a,2.0\n10,b,3.0\n11,a,4.0\n15,a,5.0\n")
    checkpoint_at(folder, 10)
    logger = MetricsCSV(RunFolder(folder.path))
    assert folder.curves.read_text() == HEADER + "5,a,1.0\n10,a,2.0\n10,b,3.0\n"
    logger.log_metrics({"a": 4}, 11)
    assert folder.read_curve("a") == {5: 1.0, 10: 2.0, 11: 4.0}


@pytest.mark.parametrize("cut", ["1", "10", "10,a", "10,a,", "10,a,2"])
def test_a_line_cut_short_by_a_kill_is_dropped(folder, cut):
    folder.curves.write_text(f"{HEADER}5,a,1.0\n{cut}")
    checkpoint_at(folder, 10)
    MetricsCSV(folder)
    assert folder.curves.read_text() == HEADER + "5,a,1.0\n"


def test_without_a_checkpoint_the_run_starts_from_nothing(folder):
    folder.curves.write_text(f"{HEADER}5,a,1.0\n")
    MetricsCSV(folder)
    assert folder.curves.read_text() == HEADER


def test_a_full_disk_is_a_sentence(folder, monkeypatch):
    logger = MetricsCSV(folder)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UserError, match=r"metrics\.csv, got: No space left"):
        logger.log_metrics({"a": 1}, 1)


def test_tensorboard_purges_what_comes_after_the_checkpoint(folder):
    checkpoint_at(folder, 10)
    logger = tensorboard(folder)
    assert Path(logger.log_dir) == folder.path
    assert logger._kwargs["purge_step"] == 11
