"""A search: what it finds, and that no trial is lost or counted twice."""

import math
import signal
import sys
import time
from collections import Counter

import hydra
import numpy as np
import optuna
import pytest
from hydra import initialize_config_dir
from optuna.trial import TrialState

from vaelab.cli.hydra_app import CONF, register_resolvers
from vaelab.errors import UserError
from vaelab.files import write_json
from vaelab.runs.config import load_config, to_container
from vaelab.runs.config_hash import evaluation_hashes
from vaelab.runs.folder import RunFolder, find_runs
from vaelab.sweep.launchers import FinishedJob, Launcher, Local, Serial
from vaelab.sweep.launchers.slurm import Slurm
from vaelab.sweep.run import SweepFailed
from vaelab.sweep.search.optimize import run_search
from vaelab.sweep.search.settings import SearchSettings, require_limit
from vaelab.training.callbacks.pruning import open_journal

BETA = "objective.beta=tag(log, interval(1,16))"
LATENTS = "latent_dim=range(2,20)"
SETTINGS = {
    "metric": "val/elbo", "direction": "maximize", "num_trials": 4, "sampler": "random",
    "sampler_seed": 0, "seeds": None, "pruner": "none", "n_startup_trials": 5, "n_warmup_steps": 0,
    "reduction_factor": 3,
}  # fmt: skip


class Killed(BaseException):
    """The end of a process that can't say so."""


def bowl(cfg):
    """Best, 0, at beta = 4 and 10 latents."""
    return -(math.log(cfg.objective.beta / 4) ** 2) - abs(cfg.latent_dim - 10) / 10


class Pretend(Launcher):
    """Several at once, the last to begin ends first; a value of the config instead of training."""

    def __init__(self, value=bowl, room=1, kill_at=None):
        self.value, self.room, self.kill_at = value, room, kill_at
        self.launched, self.ended, self.fail = [], [], set()

    def launch(self, jobs):
        jobs, there = iter(jobs), []
        while True:
            while len(there) < self.room and (job := next(jobs, None)):
                there.append(job)
                self.launched.append(job.id)
                job.folder.set_status("running")
            if not there:
                return
            if len(self.launched) == self.kill_at:
                for job in there:
                    write_json(job.folder.status_file, {"state": "killed"})
                raise Killed
            job = there.pop()
            self.ended.append(job.id)
            yield self.end(job)

    def end(self, job):
        if len(self.launched) in self.fail:
            job.folder.set_status("failed", error="NaN")
            return FinishedJob(job)
        value = self.value(load_config(job.folder.config))
        if value is None:
            job.folder.set_status("pruned")
        else:
            job.folder.add_metrics({"val/elbo": value, "num_steps": 3})
            job.folder.set_status("finished")
        return FinishedJob(job)


class Scores(Pretend):
    """As if trained and evaluated: metrics/mig for all but some of those launched."""

    def __init__(self, *, without=(), stop_in_evaluation=False, **settings):
        super().__init__(**settings)
        self.without, self.stop_in_evaluation = without, stop_in_evaluation

    def end(self, job):
        if self.stop_in_evaluation:
            job.folder.set_status("finished")
            raise Killed
        if len(self.launched) not in self.without:
            job.folder.add_metrics({"metrics/mig": len(self.launched) / 10})
        job.folder.set_status(
            "finished", evaluated=evaluation_hashes(to_container(load_config(job.folder.config)))
        )
        return FinishedJob(job)


MIG = {"metric": "metrics/mig", "num_trials": 3}
SCORED = [BETA, "metrics@evaluation=[mig]"]


@pytest.fixture(scope="session")
def composed():
    """Hydra's compose for overrides that differ in numbers: 0.1 s for the first, then none."""
    there, numbers = {}, ("objective.beta=", "latent_dim=", "optimizer.lr=")

    def compose(name, overrides):
        moving = [one for one in overrides if one.startswith(numbers)]
        rest = tuple(one for one in overrides if one not in moving)
        if rest not in there:
            there[rest] = hydra.compose(name, list(rest))
        cfg = there[rest].copy()
        cfg.merge_with_dotlist(moving)
        return cfg

    return compose


@pytest.fixture
def search(monkeypatch, tmp_path, tiny, composed):
    """(launcher, overrides, settings) -> the study after the search in the folder `name`."""
    register_resolvers()

    def run(launcher, *overrides, name="sweep", **settings):
        monkeypatch.setattr("vaelab.sweep.run.build_launcher", lambda cfg: launcher)
        if isinstance(launcher, Pretend):
            monkeypatch.setattr("vaelab.sweep.jobs.compose", composed)
        with initialize_config_dir(str(CONF), version_base="1.3"):
            run_search(tmp_path / name, [*tiny, *overrides], {}, **(SETTINGS | settings))
        return study_of(tmp_path / name)

    return run


def study_of(folder):
    return optuna.load_study(study_name="search", storage=open_journal(folder / "study.journal"))


def trials(study):
    """What each trial tried and what became of it."""
    return [(t.number, t.state.name, t.params, t.value) for t in study.trials]


def states(study):
    return Counter(trial.state.name for trial in study.trials)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"direction": "up"}, "direction expects one of maximize, minimize, got 'up'"),
        ({"seeds": 3}, r"seeds expects a list, got 3; try \[0,1,2\]"),
        ({"num_trials": 0}, "num_trials expects an integer of at least 1, got 0"),
        ({"sampler": "grid"}, "sampler expects one of tpe, random, gp, cmaes, got 'grid'"),
        ({"pruner": "wilcoxon"}, "expects one of median, halving, hyperband, none, got 'wilcoxon'"),
        ({"reduction_factor": 1}, "reduction_factor expects an integer of at least 2, got 1"),
        (
            {"pruner": "median", "metric": "metrics/mig"},
            "a number of validations .* got metrics/mig",
        ),
    ],
)
def test_bad_setting_is_a_sentence(search, tmp_path, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        search(Pretend(), BETA, **settings)
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    ("overrides", "settings", "sentence"),
    [
        (["objective=autoencoder", "posterior=delta"], {}, "hydra.sweeper.metric=val/reconst"),
        (["model=mlp,cnov"], {}, "cnov"),
        (["latent_dmi=2,3"], {}, "latent_dmi"),
    ],
)
def test_what_no_trial_could_train_is_rejected_first(
    search, tmp_path, overrides, settings, sentence
):
    space = LATENTS if "objective=autoencoder" in overrides else BETA
    with pytest.raises(Exception, match=sentence):
        search(Pretend(), space, *overrides, **settings)
    assert not (tmp_path / "sweep").exists()


def test_tpe_finds_the_better_half(search):
    study = search(Pretend(), BETA, LATENTS, num_trials=24, sampler="tpe")
    values = [trial.value for trial in study.trials]
    assert np.mean(values[-8:]) > np.mean(values[:8])
    assert 2.5 < study.best_params["objective.beta"] < 6.4
    assert abs(study.best_params["latent_dim"] - 10) <= 3
    assert study.best_value == max(values)


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "cmaes"])
def test_killed_search_resumes_as_if_it_had_not_been(search, sampler):
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    # TPE draws at random until there are ten trials.
    num = 12 if sampler == "tpe" else 4
    settings = {"sampler": sampler, "num_trials": num}
    whole = search(Pretend(), BETA, LATENTS, name="whole", **settings)
    first, second = Pretend(kill_at=num - 2), Pretend()
    with pytest.raises(Killed):
        search(first, BETA, LATENTS, **settings)
    parts = search(second, BETA, LATENTS, **settings)
    assert trials(parts) == trials(whole)
    assert second.launched[0] == first.launched[-1]
    assert len({*first.launched, *second.launched}) == num
    assert len(first.launched) + len(second.launched) == num + 1


def test_finished_runs_outlive_their_database(search, tmp_path):
    before = trials(search(Pretend(), BETA))
    (tmp_path / "sweep" / "study.journal").unlink()
    again = Pretend()
    assert trials(search(again, BETA)) == before
    assert again.launched == []


def test_num_trials_is_the_total(search):
    first, second = Pretend(), Pretend()
    before = trials(search(first, BETA, num_trials=3))
    after = trials(search(second, BETA, num_trials=5))
    assert after[:3] == before
    assert (len(after), len(second.launched)) == (5, 2)
    assert trials(search(second, BETA, num_trials=2)) == after


@pytest.mark.parametrize("room", [1, 3])
def test_same_settings_are_trained_once(search, room):
    launcher = Pretend(room=room)
    study = search(launcher, "latent_dim=2,3", num_trials=8)
    assert states(study) == {"COMPLETE": 8}
    assert len(launcher.launched) == len(set(launcher.launched)) == 2
    assert len({(trial.params["latent_dim"], trial.value) for trial in study.trials}) == 2


def test_several_at_once(search):
    first, second = Pretend(room=2, kill_at=4), Pretend(room=2)
    with pytest.raises(Killed):
        search(first, BETA, sampler="tpe", num_trials=6)
    study = search(second, BETA, sampler="tpe", num_trials=6)
    assert states(study) == {"COMPLETE": 6}
    assert second.launched[:2] == [job for job in first.launched if job not in first.ended]
    assert len(first.launched) == 4
    assert len({*first.launched, *second.launched}) == 6


def test_failure_is_reported_and_retried(search, capsys):
    launcher = Pretend()
    launcher.fail = {2}
    with pytest.raises(SweepFailed, match=r"1 of 4 trials .* objective.beta=.*failed: NaN"):
        search(launcher, BETA, num_trials=4)
    assert "3 complete, 1 fail" in capsys.readouterr().out
    again = Pretend()
    study = search(again, BETA, num_trials=4)
    assert again.launched == launcher.launched[1:2]
    assert states(study) == {"COMPLETE": 4, "FAIL": 1}
    assert study.trials[4].params == study.trials[1].params
    search(again, BETA, num_trials=4)
    assert len(again.launched) == 1


@pytest.mark.parametrize(
    ("overrides", "settings", "sentence"),
    [
        (["objective.beta=interval(1,16)"], {}, "the space of objective.beta"),
        ([BETA, LATENTS], {}, "the space of latent_dim: None ->"),
        ([BETA, "num_steps=24"], {}, "num_steps: 12 -> 24"),
        ([BETA], {"direction": "minimize"}, "direction: maximize -> minimize"),
        ([BETA], {"seeds": [0, 1]}, "seeds"),
    ],
)
def test_another_search_in_the_folder_is_rejected(search, overrides, settings, sentence, tmp_path):
    before = trials(search(Pretend(), BETA, num_trials=1))
    with pytest.raises(UserError, match=sentence):
        search(Pretend(), *overrides, **settings)
    assert trials(study_of(tmp_path / "sweep")) == before
    search(Pretend(), BETA, "num_threads=2", num_trials=1, pruner="median")


def test_mistaken_metric_can_be_corrected(search):
    launcher = Pretend()
    with pytest.raises(UserError, match=r"got val/elb, .*nearest: val/elbo"):
        search(launcher, BETA, metric="val/elb")
    assert len(launcher.launched) == 1
    assert states(search(launcher, BETA)) == {"COMPLETE": 4}
    assert len(launcher.launched) == 4


def test_stopped_in_its_evaluation_it_is_evaluated(search):
    first, second = Scores(stop_in_evaluation=True), Scores()
    with pytest.raises(Killed):
        search(first, *SCORED, **MIG)
    assert states(search(second, *SCORED, **MIG)) == {"COMPLETE": 3}
    assert second.launched[:1] == first.launched
    assert len(second.launched) == 3


def test_trial_without_the_metric_has_failed_alone(search):
    launcher = Scores(without={2})
    with pytest.raises(SweepFailed, match=r"1 of 3 trials .*objective.beta=.* got metrics/mig"):
        search(launcher, *SCORED, **MIG)
    assert len(launcher.launched) == 3


def test_metric_that_no_trial_has_is_reported_at_the_first_and_at_the_end(search, tmp_path):
    first, second = Scores(without={1, 2, 3}), Scores(without={1, 2, 3})
    for launcher, num in ((first, 1), (second, 2)):
        with pytest.raises(UserError, match=r"hydra.sweeper.metric expects .* got metrics/mig"):
            search(launcher, *SCORED, **MIG)
        assert len(launcher.launched) == num
    assert states(study_of(tmp_path / "sweep")) == {"FAIL": 4}


def test_first_trial_without_the_metric_does_not_stop_the_next_call(search):
    with pytest.raises(UserError, match="got metrics/mig"):
        search(Scores(without={1}), *SCORED, **MIG)
    with pytest.raises(SweepFailed, match="1 of 3 trials"):
        search(Scores(), *SCORED, **MIG)


def test_other_settings_of_the_metric_are_another_search(search):
    search(Scores(), *SCORED, **MIG)
    with pytest.raises(UserError, match=r"got evaluation.mig.num_bins: 20 -> 10; choose another"):
        search(Scores(), *SCORED, "evaluation.mig.num_bins=10", **MIG)


def test_settings_of_metrics_are_nothing_to_a_search_by_validations(search):
    search(Pretend(), *SCORED, num_trials=1)
    search(Pretend(), *SCORED, "evaluation.mig.num_bins=10", num_trials=1)


def test_trial_left_to_another_process_has_not_finished(search, tmp_path):
    search(Pretend(), BETA, num_trials=2)
    run = find_runs(tmp_path / "sweep")[0]
    run.set_status("running")
    (tmp_path / "sweep" / "study.journal").unlink()
    with pytest.raises(SweepFailed, match=r"1 of 2 trials .* objective.beta=.* \(running\)"):
        search(Pretend(), BETA, num_trials=2)
    assert states(study_of(tmp_path / "sweep")) == {"COMPLETE": 1, "RUNNING": 1}
    run.set_status("finished")
    assert states(search(Pretend(), BETA, num_trials=2)) == {"COMPLETE": 2}


@pytest.mark.parametrize(
    "overrides",
    [
        ["metrics@evaluation=mig,nope"],
        ["init=glorot,nope", "+sizes={glorot:1}", "+size='${sizes.${init}}'"],
    ],
)
def test_trial_that_hydra_rejects_has_failed_alone(search, tmp_path, overrides):
    key, _, values = overrides[0].partition("=")
    with pytest.raises(SweepFailed, match=f"of 4 trials .* {key}=nope \\(.*nope"):
        search(Pretend(), *overrides, num_trials=4)
    found = {(t.params[key], t.state.name) for t in study_of(tmp_path / "sweep").trials}
    assert found == {(values.split(",")[0], "COMPLETE"), ("nope", "FAIL")}


def test_launcher_without_a_limit_is_rejected(search, tmp_path):
    with pytest.raises(UserError, match=r"expects a limit .* set hydra.launcher.num_jobs=4"):
        search(Slurm(), BETA, sampler="tpe")
    assert not (tmp_path / "sweep").exists()
    require_limit(SearchSettings(**SETTINGS | {"sampler": "tpe"}), Slurm(num_jobs=4))
    require_limit(SearchSettings(**SETTINGS | {"sampler": "random"}), Slurm())


@pytest.mark.parametrize("content", ["no journal", "no journal\n", '{"op_code": 99}\n', "1\n2\n"])
def test_broken_journal_is_a_sentence(search, tmp_path, content):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "study.journal").write_text(content)
    with pytest.raises(UserError, match=r"expects Optuna's journal in .*move it away"):
        search(Pretend(), BETA)


def test_record_cut_short_is_dropped(search, tmp_path):
    before = trials(search(Pretend(), BETA, num_trials=2))
    with (tmp_path / "sweep" / "study.journal").open("a") as file:
        file.write('{"op_code":4,"worker_id":"a')
    after = trials(search(Pretend(), BETA, num_trials=3))
    assert (after[:2], len(after)) == (before, 3)
    assert trials(study_of(tmp_path / "sweep")) == after


def test_without_optuna_a_sentence(search, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"expects Optuna, .*pip install 'vaelab\[optuna\]'"):
        search(Pretend(), BETA)


def test_seeds_are_averaged_and_not_begun_where_one_is_pruned(search):
    def value(cfg):
        if cfg.latent_dim == 5:
            return None if cfg.seed == 1 else 0.0
        return float(cfg.latent_dim + 10 * cfg.seed)

    launcher = Pretend(value)
    study = search(launcher, "latent_dim=5,6", seeds=[0, 1, 2], num_trials=4)
    found = {t.params["latent_dim"]: (t.state, t.value) for t in study.trials}
    assert found == {"5": (TrialState.PRUNED, None), "6": (TrialState.COMPLETE, 16)}
    assert len(launcher.launched) == 5


def test_search_prunes_and_the_study_knows(search, tmp_path):
    overrides = ["optimizer.lr=1e-2,1e-5,2e-5", "latent_dim=2,3"]
    settings = {"pruner": "median", "n_startup_trials": 1, "num_trials": 6}
    study = search(Serial(), *overrides, **settings)
    pruned = [t for t in study.trials if t.state == TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        run = RunFolder(tmp_path / "sweep" / trial.user_attrs["runs"][0])
        assert run.status()["state"] == "pruned"
        assert trial.intermediate_values == run.read_curve("val/elbo")
        best = study.best_trial.intermediate_values[trial.last_step]
        assert trial.intermediate_values[trial.last_step] < best
        first = next(t.number for t in study.trials if t.user_attrs == trial.user_attrs)
        pruned_by = {"study": "../study.journal", "name": "search", "trial": first}
        assert run.read_job()["pruned_by"] == pruned_by
    nothing = Pretend()
    assert trials(search(nothing, *overrides, **settings)) == trials(study)
    assert nothing.launched == []


def test_jobs_in_processes_report_to_one_study(search, tmp_path, warm_jobs):
    overrides = ["optimizer.lr=1e-2,1e-5,2e-5", "latent_dim=2,3"]
    launcher = Local(num_jobs=2)
    study = search(launcher, *overrides, pruner="halving", num_trials=3, seeds=[0, 1])
    for trial in study.trials:
        run, *others = (RunFolder(tmp_path / "sweep" / name) for name in trial.user_attrs["runs"])
        assert trial.intermediate_values == run.read_curve("val/elbo")
        states = {one.status()["state"] for one in (run, *others)}
        assert ("pruned" in states) == (trial.state == TrialState.PRUNED)
        assert all(not one.read_job().get("pruned_by") for one in others)
    # Written by Optuna's pruner, in the processes of the jobs.
    assert any("completed_rung_0" in trial.system_attrs for trial in study.trials)


def test_killed_on_the_command_line(command, finish, tiny, search, tmp_path):
    """The same trials and curves as without the kill, and none twice."""
    space = [BETA, "optimizer.lr=tag(log, interval(1e-4,1e-2))"]
    longer = ["num_steps=100", "val_every_n_steps=25", "callbacks.checkpoints.every_n_steps=10"]
    overrides = ["-m", "hydra/sweeper=optuna", *tiny, *longer, *space, "name=s"]
    overrides += ["hydra.sweeper.num_trials=3", "hydra.sweeper.n_startup_trials=1"]
    folder = tmp_path / "outputs" / "s" / "sweep"
    process = command(*overrides)
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*/checkpoints/last.ckpt")) if folder.exists() else []) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    finish(process)
    assert [run.status()["state"] for run in find_runs(folder)].count("killed") == 1

    code, out, err = finish(command(*overrides))
    assert code == 0, err
    settings = {"sampler": "tpe", "pruner": "median", "n_startup_trials": 1, "num_trials": 3}
    whole = search(Serial(), *longer, *space, name="whole", **settings)
    assert trials(study_of(folder)) == trials(whole)
    assert f"{whole.best_value:.4f}" in out
    names = {run.path.name for run in find_runs(folder)}
    assert names == {run.path.name for run in find_runs(tmp_path / "whole")}
    for name in names:
        curves = [RunFolder(at / name).curves.read_text() for at in (folder, tmp_path / "whole")]
        assert curves[0] == curves[1]
