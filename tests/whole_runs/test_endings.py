"""How a run may end other than at num_steps, and what status.json then says."""

import pytest

from vaelab.errors import UserError
from vaelab.runs.folder import RunFolder
from vaelab.runs.status import State
from vaelab.train import train

EARLY = "++callbacks.early={_target_:pytorch_lightning.callbacks.EarlyStopping,monitor:val/elbo,"
EARLY += "mode:max,patience:0,min_delta:1000000}"


@pytest.fixture
def end(compose, tiny, tmp_path):
    """Overrides -> the folder of a run with them."""

    def run(*overrides):
        keys = {one.lstrip("+").partition("=")[0] for one in overrides}
        kept = [one for one in tiny if one.partition("=")[0] not in keys]
        cfg = compose(*kept, *overrides)
        train(cfg, tmp_path / "run", [])
        return RunFolder(tmp_path / "run")

    return run


def test_early_stopping_is_said(end):
    folder = end(EARLY)
    status = folder.status()
    assert (status["state"], status["step"], status["num_steps"]) == (State.STOPPED_EARLY, 8, 12)
    assert status["state"].is_done


def test_a_time_limit_is_said_and_can_be_resumed(end):
    folder = end("+trainer.max_time='00:00:00:00'")
    status = folder.status()
    assert status["state"] == State.OUT_OF_TIME
    assert status["step"] < 12
    assert status["state"].was_stopped
    assert not status["state"].is_done


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("trainer.max_epochs=0", "trainer.max_epochs expects -1 or at least 1"),
        ("+trainer.fast_dev_run=true", "trainer.fast_dev_run expects false"),
    ],
)
def test_runs_that_would_not_train_are_rejected(end, override, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        end(override)
    assert RunFolder(tmp_path / "run").state() == State.FAILED


def test_a_final_metric_that_is_no_number_is_a_failure(end, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "vaelab.elbo_statistics.ElboStatistics.compute",
        lambda self: {"elbo": float("nan"), "reconstruction": 1.0},
    )
    with pytest.raises(UserError, match="finite final metrics, got val/elbo = nan"):
        end()
    assert RunFolder(tmp_path / "run").state() == State.FAILED


def test_without_a_progress_bar(end):
    assert end("trainer.enable_progress_bar=false", "callbacks=[checkpoints,progress]").state()


@pytest.mark.parametrize(
    "override", ["+trainer.profiler=simple", "trainer.enable_model_summary=true"]
)
def test_what_lightning_reports_is_logged(end, override, caplog):
    with caplog.at_level("INFO"):
        end(override)
    assert "Profiler Report" in caplog.text or "Trainable params" in caplog.text
