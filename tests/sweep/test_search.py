"""A search: its spaces, what it finds, and that no trial is lost or counted twice."""

import math
import random
import signal
import time
from collections import Counter

import hydra
import numpy as np
import optuna
import pytest
from hydra import initialize_config_dir
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from vaelab.cli.hydra_app import CONF, register_resolvers
from vaelab.errors import UserError
from vaelab.files import write_json
from vaelab.runs.config import load_config, to_container
from vaelab.runs.config_hash import evaluation_hashes
from vaelab.runs.folder import RunFolder, find_runs
from vaelab.sweep.launchers import FinishedJob, Launcher, Serial
from vaelab.sweep.launchers.slurm import Slurm
from vaelab.sweep.run import SweepFailed
from vaelab.sweep.search.optimize import run_search
from vaelab.sweep.search.settings import SearchSettings, require_room
from vaelab.sweep.search.space import parse
from vaelab.train import train
from vaelab.training.callbacks.pruning import Pruning, below_median, below_rung

BETA = "objective.beta=tag(log, interval(1,16))"
LATENTS = "latent_dim=range(2,20)"
SETTINGS = {
    "metric": "val/elbo", "direction": "maximize", "num_trials": 4, "sampler": "random",
    "sampler_seed": 0, "seeds": None, "pruner": "none", "n_startup_trials": 5, "n_warmup_steps": 0,
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
    """Hydra's compose for words of which only numbers change: 0.1 s for the first, then none."""
    there, numbers = {}, ("objective.beta=", "latent_dim=", "optimizer.lr=")

    def compose(name, overrides):
        moving = [word for word in overrides if word.startswith(numbers)]
        rest = tuple(word for word in overrides if word not in moving)
        if rest not in there:
            there[rest] = hydra.compose(name, list(rest))
        cfg = there[rest].copy()
        cfg.merge_with_dotlist(moving)
        return cfg

    return compose


@pytest.fixture
def search(monkeypatch, tmp_path, tiny, composed):
    """(launcher, words, settings) -> the study after the search in the folder `name`."""
    register_resolvers()

    def run(launcher, *words, name="sweep", **settings):
        monkeypatch.setattr("vaelab.sweep.run.build_launcher", lambda cfg: launcher)
        if isinstance(launcher, Pretend):
            monkeypatch.setattr("vaelab.sweep.jobs.compose", composed)
        with initialize_config_dir(str(CONF), version_base="1.3"):
            run_search(tmp_path / name, [*tiny, *words], {}, **(SETTINGS | settings))
        return study_of(tmp_path / name)

    return run


def study_of(folder):
    return optuna.load_study(study_name="search", storage=f"sqlite:///{folder}/study.db")


def trials(study):
    """What each trial tried and what became of it."""
    return [(t.number, t.state.name, t.params, t.value) for t in study.trials]


def states(study):
    return Counter(trial.state.name for trial in study.trials)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a=x,y", CategoricalDistribution(["x", "y"])),
        ("a=choice(1,'b c',[1,2])", CategoricalDistribution(["1", "b\\ c", "[1,2]"])),
        ("a=range(2,20)", IntDistribution(2, 19)),
        ("a=range(2,20,4)", IntDistribution(2, 18, step=4)),
        ("a=range(0,1,0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("a=tag(log,range(1,65))", IntDistribution(1, 64, log=True)),
        ("a=interval(1,16)", FloatDistribution(1, 16)),
        ("a=tag(log, interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("a=tag(int, interval(1,16))", IntDistribution(1, 16)),
        ("a=tag(int, log, interval(1,16))", IntDistribution(1, 16, log=True)),
    ],
)
def test_spaces(word, expected):
    space = parse(["b=1", "c=2,3", "c=4", word])
    assert space.distributions == {"a": expected}
    assert space.fixed == ("b=1", "c=4")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("a=1", "expects settings to choose from, got none"),
        ("seed=0,1", r"set hydra.sweeper.seeds=\[0,1,2\]"),
        ("a=interval(2,1)", "expected the lower end first, got 2.0 and 1.0"),
        ("a=tag(log,interval(0,1))", "expects numbers above 0, got 0.0"),
        ("a=tag(int,interval(0.5,1))", "whole numbers as ends, got 0.5"),
        ("a=tag(log,range(1,9,2))", r"use a=tag\(log, interval\(1,7\)\)"),
        ("a=tag(loh,interval(1,2))", "got loh"),
        ("a=tag(log,choice(1,2))", "expected no tags, got log"),
        ("a=glob(*)", "list them as a=a,b"),
    ],
)
def test_bad_space_is_a_sentence(word, sentence):
    with pytest.raises(UserError, match=sentence):
        parse([word])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"direction": "up"}, "direction expects maximize or minimize, got up"),
        ({"num_trials": 0}, "num_trials expects a whole number of at least 1, got 0"),
        ({"sampler": "grid"}, "sampler expects one of tpe, random, gp, cmaes, got grid"),
        ({"pruner": "hyperband"}, "pruner expects median, halving or none, got hyperband"),
        ({"pruner": "median", "metric": "metrics/mig"}, "expects a metric of validations"),
    ],
)
def test_bad_setting_is_a_sentence(search, tmp_path, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        search(Pretend(), BETA, **settings)
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        (["logger=[]"], {"pruner": "median"}, "got runs without logger=csv"),
        (["objective=autoencoder", "posterior=delta"], {}, "hydra.sweeper.metric=val/reconst"),
        (["model=mlp,cnov"], {}, "cnov"),
        (["latent_dmi=2,3"], {}, "latent_dmi"),
    ],
)
def test_what_no_trial_could_train_is_refused_first(search, tmp_path, words, settings, sentence):
    word = LATENTS if "objective=autoencoder" in words else BETA
    with pytest.raises(Exception, match=sentence):
        search(Pretend(), word, *words, **settings)
    assert not (tmp_path / "sweep").exists()


def test_tpe_finds_the_better_half(search):
    study = search(Pretend(), BETA, LATENTS, num_trials=24, sampler="tpe")
    values = [trial.value for trial in study.trials]
    assert np.mean(values[-8:]) > np.mean(values[:8])
    assert 2.5 < study.best_params["objective.beta"] < 6.4
    assert abs(study.best_params["latent_dim"] - 10) <= 3
    assert study.best_value == max(values)


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "cmaes"])
def test_killed_search_goes_on_as_if_it_had_not_been(search, sampler):
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
    (tmp_path / "sweep" / "study.db").unlink()
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


def test_failure_is_told_and_tried_again(search, capsys):
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
    ("words", "settings", "sentence"),
    [
        (["objective.beta=interval(1,16)"], {}, "the space of objective.beta"),
        ([BETA, LATENTS], {}, "the space of latent_dim: None ->"),
        ([BETA, "num_steps=24"], {}, "num_steps: 12 -> 24"),
        ([BETA], {"direction": "minimize"}, "direction: maximize -> minimize"),
        ([BETA], {"seeds": [0, 1]}, "seeds"),
    ],
)
def test_another_search_in_the_folder_is_refused(search, words, settings, sentence, tmp_path):
    before = trials(search(Pretend(), BETA, num_trials=1))
    with pytest.raises(UserError, match=sentence):
        search(Pretend(), *words, **settings)
    assert trials(study_of(tmp_path / "sweep")) == before
    search(Pretend(), BETA, "num_threads=2", num_trials=1, pruner="median")


def test_mistaken_metric_can_be_mended(search):
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


def test_metric_that_no_trial_has_is_told_at_the_first_and_at_the_end(search, tmp_path):
    first, second = Scores(without={1, 2, 3}), Scores(without={1, 2, 3})
    for launcher, num in ((first, 1), (second, 2)):
        with pytest.raises(UserError, match=r"hydra.sweeper.metric expects .* got metrics/mig"):
            search(launcher, *SCORED, **MIG)
        assert len(launcher.launched) == num
    assert states(study_of(tmp_path / "sweep")) == {"FAIL": 4}


def test_first_trial_without_the_metric_stops_no_search_typed_again(search):
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
    (tmp_path / "sweep" / "study.db").unlink()
    with pytest.raises(SweepFailed, match=r"1 of 2 trials .* objective.beta=.* \(running\)"):
        search(Pretend(), BETA, num_trials=2)
    assert states(study_of(tmp_path / "sweep")) == {"COMPLETE": 1, "RUNNING": 1}
    run.set_status("finished")
    assert states(search(Pretend(), BETA, num_trials=2)) == {"COMPLETE": 2}


@pytest.mark.parametrize(
    "words",
    [
        ["metrics@evaluation=mig,nope"],
        ["init=glorot,nope", "+sizes={glorot:1}", "+size='${sizes.${init}}'"],
    ],
)
def test_trial_that_hydra_refuses_has_failed_alone(search, tmp_path, words):
    key, _, values = words[0].partition("=")
    with pytest.raises(SweepFailed, match=f"of 4 trials .* {key}=nope \\(.*nope"):
        search(Pretend(), *words, num_trials=4)
    told = {(t.params[key], t.state.name) for t in study_of(tmp_path / "sweep").trials}
    assert told == {(values.split(",")[0], "COMPLETE"), ("nope", "FAIL")}


def test_launcher_without_a_limit_is_refused(search, tmp_path):
    with pytest.raises(UserError, match=r"expects a limit .* set hydra.launcher.num_jobs=4"):
        search(Slurm(), BETA, sampler="tpe")
    assert not (tmp_path / "sweep").exists()
    require_room(SearchSettings(**SETTINGS | {"sampler": "tpe"}), Slurm(num_jobs=4))
    require_room(SearchSettings(**SETTINGS | {"sampler": "random"}), Slurm())


def test_broken_database_is_a_sentence(search, tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "study.db").write_text("no database " * 100)
    with pytest.raises(UserError, match=r"expected a study in .*move it away"):
        search(Pretend(), BETA)


def test_seeds_are_averaged_and_not_begun_where_one_is_pruned(search):
    def value(cfg):
        if cfg.latent_dim == 5:
            return None if cfg.seed == 1 else 0.0
        return float(cfg.latent_dim + 10 * cfg.seed)

    launcher = Pretend(value)
    study = search(launcher, "latent_dim=5,6", seeds=[0, 1, 2], num_trials=4)
    told = {t.params["latent_dim"]: (t.state, t.value) for t in study.trials}
    assert told == {"5": (TrialState.PRUNED, None), "6": (TrialState.COMPLETE, 16)}
    assert len(launcher.launched) == 5


def curve(step_values):
    return dict(enumerate(step_values, 1))


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("rule", ["median", "halving"])
def test_rules_are_those_of_optuna(rule, direction):
    """The same curves one after another, with Optuna's pruners and by ours."""
    draw, sign = random.Random(0), 1 if direction == "maximize" else -1
    pruner = optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=2)
    if rule == "halving":
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=3)
    study = optuna.create_study(direction=direction, pruner=pruner)
    finished, everything, decisions = [], [], []
    for _ in range(60):
        trial, slope = study.ask(), draw.gauss(0, 1)
        values = [slope * step + draw.gauss(0, 2) for step in range(1, 21)]
        own = {}
        for step, value in curve(values).items():
            own[step] = value
            trial.report(sign * value, step)
            expected = trial.should_prune()
            if rule == "median":
                decision = step >= 2 and below_median(own, finished, 3)
            else:
                decision = below_rung(own, everything, 0, 2)
            assert decision == expected, (trial.number, step)
            if decision:
                break
        decisions.append(decision)
        everything.append(own)
        if decision:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            finished.append(own)
            study.tell(trial, sign * value)
    assert 10 < sum(decisions) < 60


def neighbour(path, value):
    """A finished run that is pruned by val/elbo and had `value` all along."""
    run = RunFolder(path)
    write_json(run.path / "job.json", {"overrides": ["callbacks.pruning={metric:val/elbo,}"]})
    run.config.write_text("")
    rows = [f"{step},val/elbo,{value}\n" for step in (4, 8, 12)]
    run.curves.write_text("step,metric,value\n" + "".join(rows))
    run.set_status("finished")


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_neighbour_that_cannot_be_read_is_left_out(tmp_path, caplog, pruner):
    for name, value in (("a", -1.0), ("b", -2.0), ("c", "no number")):
        neighbour(tmp_path / name, value)
    for n_startup, is_behind in ((2, True), (3, False)):
        rule = Pruning(RunFolder(tmp_path / "own"), pruner=pruner, n_startup_trials=n_startup)
        caplog.clear()
        assert [rule.is_behind(4, -3.0), rule.is_behind(4, -3.0)] == [is_behind] * 2
        assert rule.is_behind(4, 0.0) is False
        assert caplog.text.count("pruning goes on without c: expected rows") == 1


@pytest.fixture
def beside(compose, tiny, tmp_path):
    """(value of the others, words) -> a run that was trained beside two that have ended."""
    word = "++callbacks.pruning={_target_:vaelab.training.callbacks.Pruning,_partial_:true,n_startup_trials:2}"

    def run(value, *words):
        for name in ("a", "b"):
            neighbour(tmp_path / name, value)
        train(compose(*tiny, word, *words), tmp_path / "own", [])
        return RunFolder(tmp_path / "own")

    return run


def test_bad_run_is_stopped_at_its_first_validation(beside):
    run = beside(
        -1.0, "metrics=[]", "callbacks=[checkpoints,figures]", "callbacks.figures.every_n_steps=4"
    )
    status, metrics = run.status(), run.read_metrics()
    assert (status["state"], status["step"]) == ("pruned", 4)
    assert status["val/elbo"] == metrics["val/elbo"] == run.read_curve("val/elbo")[4]
    assert list(run.read_curve("val/elbo")) == [4]
    assert metrics["num_steps"] == run.last_step == 4


def test_good_run_is_left_alone(beside):
    run = beside(-1e6)
    assert run.status()["state"] == "finished"
    assert run.read_metrics()["num_steps"] == 12


def test_warm_up_is_left_alone(beside):
    run = beside(-1.0, "++callbacks.pruning.n_warmup_steps=5")
    assert run.status()["step"] == 8


def test_search_prunes_and_the_study_knows(search, tmp_path):
    words = ["optimizer.lr=1e-2,1e-5,2e-5", "latent_dim=2,3"]
    settings = {"pruner": "median", "n_startup_trials": 1, "num_trials": 6}
    study = search(Serial(), *words, **settings)
    pruned = [t for t in study.trials if t.state == TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        run = RunFolder(tmp_path / "sweep" / trial.user_attrs["runs"][0])
        assert run.status()["state"] == "pruned"
        assert trial.intermediate_values == run.read_curve("val/elbo")
        best = study.best_trial.intermediate_values[trial.last_step]
        assert trial.intermediate_values[trial.last_step] < best
    nothing = Pretend()
    assert trials(search(nothing, *words, **settings)) == trials(study)
    assert nothing.launched == []


def test_killed_on_the_command_line(command, finish, tiny, search, tmp_path):
    """The same trials and curves as without the kill, and none twice."""
    space = [BETA, "optimizer.lr=tag(log, interval(1e-4,1e-2))"]
    longer = ["num_steps=100", "val_every_n_steps=25", "callbacks.checkpoints.every_n_steps=10"]
    words = ["-m", "hydra/sweeper=optuna", *tiny, *longer, *space, "name=s"]
    words += ["hydra.sweeper.num_trials=3", "hydra.sweeper.n_startup_trials=1"]
    folder = tmp_path / "outputs" / "s" / "sweep"
    process = command(*words)
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*/checkpoints/last.ckpt")) if folder.exists() else []) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    finish(process)
    assert [run.status()["state"] for run in find_runs(folder)].count("killed") == 1

    code, out, err = finish(command(*words))
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
