"""Pruning: what the callback reports to Optuna, and when it ends a run."""

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from vaelab.files import write_json
from vaelab.runs.folder import RunFolder
from vaelab.sweep.search.settings import SearchSettings
from vaelab.train import train
from vaelab.training.callbacks.pruning import open_journal, report

STEPS = (4, 8, 12)  # of the validations of `tiny`
SETTINGS = {
    "metric": "val/elbo", "direction": "maximize", "num_trials": 3, "sampler": "random",
    "sampler_seed": 0, "seeds": None, "pruner": "median", "n_startup_trials": 2,
    "n_warmup_steps": 0, "reduction_factor": 3,
}  # fmt: skip


@pytest.fixture
def study(tmp_path):
    """Of a search."""
    storage = open_journal(tmp_path / "study.journal")
    return optuna.create_study(storage=storage, study_name="search", direction="maximize")


@pytest.fixture
def add_trial(study):
    """A value of all validations, or none yet -> a trial that has finished, or that runs."""

    def add(value=None):
        trial = study.ask({"x": FloatDistribution(0, 1)})
        if value is not None:
            for step in STEPS:
                trial.report(value, step)
                trial.study.pruner.prune(study, study.trials[trial.number])
            study.tell(trial, value)
        return trial.number

    return add


@pytest.fixture
def train_trial(compose, tiny, tmp_path):
    """Train the run of a trial, with settings of the search and further overrides."""

    def run(number, *overrides, name="own", **settings):
        if number is not None:
            pruned_by = {"study": "../study.journal", "name": "search", "trial": number}
            write_json(tmp_path / name / "job.json", {"pruned_by": pruned_by})
        pruning = SearchSettings(**SETTINGS | settings).pruning_overrides(compose(*tiny))
        train(compose(*tiny, *pruning, *overrides), tmp_path / name, [])
        return RunFolder(tmp_path / name)

    return run


@pytest.mark.parametrize("pruner", ["median", "halving", "hyperband"])
def test_bad_run_is_stopped_at_its_first_validation(study, add_trial, train_trial, pruner):
    if pruner == "halving":
        study.pruner = optuna.pruners.SuccessiveHalvingPruner(4, reduction_factor=3)
    if pruner == "hyperband":
        study.pruner = optuna.pruners.HyperbandPruner(4, 13, reduction_factor=3)
    # Hyperband puts trial 3 into its first bracket, whose first rung is at step 4.
    for value in (-1.0, -2.0, -3.0):
        add_trial(value)
    number = add_trial()
    run = train_trial(
        number,
        *("metrics=[]", "callbacks=[checkpoints,figures]", "callbacks.figures.every_n_steps=4"),
        pruner=pruner,
    )
    status, metrics = run.status(), run.read_metrics()
    assert (status["state"], status["step"]) == ("pruned", 4)
    assert status["val/elbo"] == metrics["val/elbo"] == run.read_curve("val/elbo")[4]
    assert list(run.read_curve("val/elbo")) == [4]
    assert metrics["num_steps"] == run.last_step == 4
    assert study.trials[number].intermediate_values == run.read_curve("val/elbo")


@pytest.mark.parametrize("pruner", ["median", "halving", "hyperband"])
def test_good_run_is_left_alone(study, add_trial, train_trial, pruner):
    for value in (-1e6, -1e6):
        add_trial(value)
    number = add_trial()
    run = train_trial(number, pruner=pruner)
    assert run.status()["state"] == "finished"
    assert run.read_metrics()["num_steps"] == 12
    assert study.trials[number].intermediate_values == run.read_curve("val/elbo")
    assert list(run.read_curve("val/elbo")) == list(STEPS)


def test_warm_up_is_left_alone(add_trial, train_trial):
    for value in (-1.0, -2.0):
        add_trial(value)
    assert train_trial(add_trial(), n_warmup_steps=5).status()["step"] == 8


def test_first_trials_are_left_alone(add_trial, train_trial):
    add_trial(-1.0)
    assert train_trial(add_trial()).status()["state"] == "finished"


def test_run_that_is_no_trial_is_left_alone(study, add_trial, train_trial, tmp_path):
    for value in (-1.0, -2.0):
        add_trial(value)
    ended = add_trial()
    study.tell(ended, state=TrialState.FAIL)
    before = (tmp_path / "study.journal").read_text()
    for number, name in ((None, "alone"), (ended, "ended"), (99, "unknown")):
        assert train_trial(number, name=name).status()["state"] == "finished"
    assert (tmp_path / "study.journal").read_text() == before
    (tmp_path / "study.journal").unlink()
    assert train_trial(ended, name="no study").status()["state"] == "finished"
    assert not (tmp_path / "study.journal").exists()


def test_pruning_changes_no_number(compose, tiny, add_trial, train_trial, tmp_path):
    for value in (-1e6, -1e6):
        add_trial(value)
    pruned = train_trial(add_trial())
    train(compose(*tiny), tmp_path / "without", [])
    assert pruned.curves.read_text() == RunFolder(tmp_path / "without").curves.read_text()


def test_resumed_run_reports_what_is_missing(study, add_trial, train_trial):
    for value in (-1e6, -1e6):
        add_trial(value)
    number = add_trial()
    report(study, number, {4: -7.0, 8: -6.0})
    run = train_trial(number)
    assert run.status()["state"] == "finished"
    expected = {4: -7.0, 8: -6.0, 12: run.read_curve("val/elbo")[12]}
    assert study.trials[number].intermediate_values == expected
