"""metrics.csv stays whole over kills and resumes."""

import errno
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, list_session_groups
from tensorboard.plugins.hparams.backend_context import Context
from torch.utils.tensorboard import SummaryWriter

from vaelab.errors import UserError
from vaelab.runs.checkpoint import save_checkpoint
from vaelab.runs.config import to_container
from vaelab.runs.folder import RunFolder
from vaelab.runs.loggers import (
    MetricsCSV,
    comparable_settings,
    log_hparams,
    tensorboard,
)

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


def hparams_tab(logdir):
    """What TensorBoard's own backend answers: settings in order, metrics, run -> its row."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logdir))
    context, request = Context(TBContext(data_provider=provider)), RequestContext()
    content = context.hparams_metadata(request, "")
    experiment = context.experiment_from_metadata(
        request, "", True, content, context.hparams_from_data_provider(request, "", 0)
    )
    allowed = [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_RUNNING]
    query = api_pb2.ListSessionGroupsRequest(
        experiment_name="", allowed_statuses=allowed, slice_size=10, start_index=0
    )
    query.col_params.extend(api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos)
    query.include_metrics = True
    groups = list_session_groups.Handler(request, context, "", query).run().session_groups
    rows = {
        group.sessions[0].name: {one.name.tag: one.value for one in group.metric_values}
        for group in groups
    }
    return (
        [info.name for info in experiment.hparam_infos],
        {info.name.tag for info in experiment.metric_infos},
        rows,
    )


def test_hparams_show_all_scalars_of_all_runs_and_first_what_differs(tmp_path):
    same = {"data": "dsprites", "a": 3}
    for name, own in (("one", {"zeta": 1}), ("two", {"zeta": 2, "objective.l1": 0.5})):
        folder = RunFolder(tmp_path / name)
        logger = tensorboard(folder)
        logger.log_metrics({"val/elbo": -5.0}, 10)
        logger.log_metrics({"val/elbo": -3.0}, 20)
        logger.finalize("success")
        log_hparams(logger, same | own, {"num_parameters": 7}, 20)
        assert not (folder.path / "hparams.yaml").exists()
    with SummaryWriter(str(tmp_path / "two")) as writer:  # as an evaluation does later
        writer.add_scalar("metrics/mig", 0.25, 20)
    settings, metrics, rows = hparams_tab(tmp_path)
    assert settings == ["zeta", "a", "data", "objective.l1"]
    assert metrics == {"val/elbo", "num_parameters", "metrics/mig"}
    assert rows["one"] == {"val/elbo": -3, "num_parameters": 7}
    assert rows["two"] == {"val/elbo": -3, "num_parameters": 7, "metrics/mig": 0.25}


def test_settings_have_the_names_of_the_command_line(compose):
    overrides = ["data=dsprites_small", "lr_scheduler=cosine", "trainer.gradient_clip_val=1"]
    overrides += ["+trainer.min_steps=3"]
    config = to_container(compose(*overrides, "likelihood=gaussian_learned"))
    settings = comparable_settings(config, overrides)
    expected = {
        "data": "dsprites_small",
        "lr_scheduler": "cosine",
        "objective": "beta_vae",
        "model": "locatello",
        "likelihood": "gaussian_learned",
        "kl_penalty": "constant",
        "objective.beta": 4,
        "optimizer.lr": 0.001,
        "data.image_size": 32,
        "seed": 0,
        "likelihood.initial_sigma": "null",
        "lr_scheduler.eta_min": 0,
        "trainer.gradient_clip_val": 1,
        "trainer.min_steps": 3,
    }
    assert {name: settings.get(name) for name in expected} == expected
    assert not [name for name in settings if "_target_" in name or "objective.kl" in name]
    assert "trainer.max_steps" not in settings
    assert all(isinstance(value, int | float | str) for value in settings.values())
