"""The loop of a search: Optuna proposes trials, a launcher trains them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vaelab.errors import UserError
from vaelab.runs.status import State
from vaelab.sweep.jobs import Job, lock_folder, plan
from vaelab.sweep.search import settings, storage
from vaelab.sweep.search.space import Space, parse
from vaelab.sweep.search.trial import SeededTrial

if TYPE_CHECKING:
    from optuna import Study, Trial

    from vaelab.sweep.launchers import Launcher

log = logging.getLogger(__name__)


def run_search(
    folder: Path,
    overrides: Sequence[str],
    launcher: DictConfig,
    *,
    params: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Train trials until there are num_trials of them, and print the best.

    Args:
        folder: of the sweep.
        overrides: of the command line.
        launcher: its config.
        params, options: see conf/hydra/sweeper/optuna.yaml.

    Raises:
        UserError: an impossible space, a setting out of range, another search in the folder, a
            launcher without a limit, or a metric that no trial has.
        SweepFailed: trials that did not finish, after all were tried.
    """
    storage.require_optuna()
    chosen = settings.SearchSettings(**options)
    given = [one for one in overrides if not one.lstrip("+~").startswith("hydra")]
    space = parse([*(f"{key}={value}" for key, value in (params or {}).items()), *given])
    example = settings.compose_example(space, chosen)
    from vaelab.sweep.run import SweepFailed, build_launcher  # here, since torch comes with it

    built = build_launcher(launcher)
    settings.require_limit(chosen, built)
    with lock_folder(folder):
        comparable = settings.comparable_settings(space, chosen, example)
        study = storage.open_study(folder, chosen.direction, comparable)
        search = Search(folder, space, chosen, study, chosen.pruning_overrides(example))
        search.run(built)
        print(storage.best_trials(study, folder, chosen.metric))
    if search.missing and not storage.has_values(study):
        raise search.missing
    if search.failures:
        raise SweepFailed(
            f"{len(search.failures)} of {chosen.num_trials} trials did not finish, the first of "
            f"them {search.failures[0]}; the same command resumes them."
        )


@dataclass
class Search:
    """The trials of one call, between Optuna, which proposes them, and a launcher.

    Attributes:
        pruning: the overrides that add the pruning callback.
        open: the trials that are not over.
        started: the ids of jobs given to the launcher.
        ended: the states of jobs that have ended, by id.
        failures: a sentence for each trial that did not finish.
        missing: the error of the last trial that lacks the metric.
    """

    folder: Path
    space: Space
    options: settings.SearchSettings
    study: "Study"
    pruning: list[str]
    open: list[SeededTrial] = field(default_factory=list)
    started: set[str] = field(default_factory=set)
    ended: dict[str, State] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    missing: UserError | None = None

    def run(self, launcher: "Launcher") -> None:
        """Train all trials that are left."""
        from vaelab.sweep.run import run_jobs

        for job, state in run_jobs(launcher, self.jobs()):
            self.ended[job.id] = state
            self._conclude()
        self.failures += [str(one.failure) for one in self.open]  # which other processes run

    def jobs(self) -> Iterator[Job]:
        """The next job to run, proposed when it is asked for.

        One that another trial or sweep has trained already is not run again.
        """
        for trial in self._trials():
            seeds: list[int | None] = [*self.options.seeds] if self.options.seeds else [None]
            one = SeededTrial(trial.number, seeds, self.ended)
            self.open.append(one)
            while one.needs_job:
                if job := self._next_job(trial, one):
                    yield job
            self._conclude()

    def _trials(self) -> "Iterator[Trial]":
        """Those that a killed process left, those that failed, and new ones up to num_trials."""
        from optuna.trial import TrialState

        from vaelab.training.callbacks.pruning import report

        study, options, names = self.study, self.options, self.space.distributions.keys()
        before = study.get_trials()
        done = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in before)
        retried = {trial.user_attrs.get("retry_of") for trial in before}
        resumed = []
        for trial in before:
            if trial.state == TrialState.RUNNING and trial.params.keys() == names:
                resumed.append(trial.number)
            elif trial.state == TrialState.RUNNING:  # killed while Optuna proposed it
                study.tell(trial.number, state=TrialState.FAIL)
            elif trial.state == TrialState.FAIL and trial.params and trial.number not in retried:
                study.enqueue_trial(trial.params, user_attrs={"retry_of": trial.number})
        for number in resumed:
            yield report(study, number, {})
        for _ in range(options.num_trials - done - len(resumed)):
            number = len(study.get_trials(deepcopy=False))
            study.sampler = storage.new_sampler(options.sampler, options.sampler_seed, number)
            yield study.ask(self.space.distributions)

    def _next_job(self, trial: "Trial", one: SeededTrial) -> Job | None:
        """Plan the job of the next seed; None if it needs no training, or Hydra rejects it."""
        seed = one.seeds.pop(0)
        shared = [*self.space.fixed, *self.pruning]
        overrides = [*shared, *self.space.overrides(trial.params)]
        overrides += [] if seed is None else [f"seed={seed}"]
        # Optuna knows one curve per trial: the first seed's.
        pruned_by = {"study": f"../{storage.FILE}", "name": storage.NAME, "trial": trial.number}
        extra = {"pruned_by": pruned_by} if self.pruning and not one.jobs else {}
        try:
            job = plan(self.folder, [overrides], shared, extra)[0]
        except (HydraException, OmegaConfBaseException) as error:
            label = " ".join(self.space.overrides(trial.params))
            one.rejected = f"{label} ({str(error).splitlines()[0]})"
            one.seeds.clear()
            return None
        one.jobs.append(job)
        trial.set_user_attr("runs", [job.path.name for job in one.jobs])
        if job.is_complete():
            self.ended[job.id] = job.state()
        is_new = job.id not in {*self.ended, *self.started}
        self.started.add(job.id)
        return job if is_new else None

    def _conclude(self) -> None:
        """Tell Optuna how the trials that are over have ended."""
        from optuna.trial import TrialState

        from vaelab.training.callbacks.pruning import report

        metric = self.options.metric
        for one in [one for one in self.open if one.is_over]:
            self.open.remove(one)
            if one.failure:
                self._fail(one, one.failure)
                continue
            label = one.jobs[0].label
            try:
                # The job may have been trained for another trial, or without pruning.
                report(self.study, one.number, one.jobs[0].folder.read_curve(metric))
                value = one.value(metric)
            except UserError as error:
                self._fail(one, f"{label} (finished: {error})", error)
                continue
            state = TrialState.PRUNED if value is None else TrialState.COMPLETE
            self.study.tell(one.number, value, state)
            result = "pruned" if value is None else f"{metric} {value:.4f}"
            log.info("trial %d: %s: %s", one.number, result, label)

    def _fail(self, one: SeededTrial, why: str, error: UserError | None = None) -> None:
        """Tell Optuna that a trial failed; one whose process was stopped stays to be resumed.

        Raises:
            MissingMetric: the first trial of the search lacks the metric.
        """
        from optuna.trial import TrialState

        self.failures.append(why)
        log.info("trial %d: %s", one.number, why)
        if one.is_resumable:
            return
        is_first = not any(t.state.is_finished() for t in self.study.get_trials(deepcopy=False))
        self.study.tell(one.number, state=TrialState.FAIL)
        if isinstance(error, storage.MissingMetric):
            self.missing = error
            if is_first:
                raise error
