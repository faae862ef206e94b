"""Settings searched by Optuna: each trial is a job, or one for each seed, judged by its metrics."""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vaelab.errors import UserError
from vaelab.sweep.jobs import Job, lock_folder, plan
from vaelab.sweep.search import storage as studies
from vaelab.sweep.search.settings import SearchSettings, check, facts, require_room
from vaelab.sweep.search.space import Space, parse
from vaelab.sweep.search.trial import SeededTrial

if TYPE_CHECKING:
    from optuna import Study, Trial

    from vaelab.sweep.launchers import Launcher

log = logging.getLogger(__name__)


def run_search(
    folder: Path,
    typed: Sequence[str],
    launcher: DictConfig,
    *,
    params: Mapping[str, Any] | None = None,
    **settings: Any,
) -> None:
    """Train trials until there are num_trials of them, and print the best.

    Args:
        folder: of the sweep.
        typed: the words of the command line.
        launcher: its config.
        params, settings: see conf/hydra/sweeper/optuna.yaml.

    Raises:
        UserError: a space that can't be, a setting out of range, another search in the folder, a
            launcher without a limit, or a metric that no trial has.
        SweepFailed: trials that did not finish, after all were tried.
    """
    studies.require_optuna()
    chosen = SearchSettings(**settings)
    words = [word for word in typed if not word.lstrip("+~").startswith("hydra")]
    space = parse([*(f"{key}={value}" for key, value in (params or {}).items()), *words])
    studies.sampler(chosen.sampler, chosen.sampler_seed, 0)
    example = check(space, chosen)
    from vaelab.sweep.run import SweepFailed, build_launcher  # here, since torch comes with it

    built = build_launcher(launcher)
    require_room(chosen, built)
    with lock_folder(folder):
        study = studies.open_study(folder, chosen.direction, facts(space, chosen, example))
        search = Search(folder, space, chosen, study)
        search.run(built)
        print(studies.best_trials(study, folder, chosen.metric))
    if search.missing and not studies.has_values(study):
        raise search.missing
    if search.lost:
        raise SweepFailed(
            f"{len(search.lost)} of {chosen.num_trials} trials did not finish, the first of them "
            f"{search.lost[0]}; the same command goes on with them."
        )


@dataclass
class Search:
    """The loop between Optuna, which says what to try, and a launcher, which has it trained.

    Attributes:
        lost: the trials of this loop that did not finish, in words.
        missing: the sentence of the last trial that lacks the metric.
    """

    folder: Path
    space: Space
    settings: SearchSettings
    study: "Study"
    lost: list[str] = field(default_factory=list)
    missing: UserError | None = None
    waiting: dict[str, list[SeededTrial]] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.RLock)  # launchers may ask in a thread of theirs

    def run(self, launcher: "Launcher") -> None:
        """Train all trials that are left."""
        from vaelab.sweep.run import describe_failure, run_jobs

        for job, state in run_jobs(launcher, self.jobs()):
            with self.lock:
                for attempt in self.waiting.pop(job.id):
                    attempt.ended[job.id] = state
                    self._conclude(attempt)
        # Left to processes of others.
        left = {attempt.trial.number: id for id in self.waiting for attempt in self.waiting[id]}
        known = {job.id: job for there in self.waiting.values() for a in there for job in a.jobs}
        self.lost += [describe_failure(known[identity]) for identity in left.values()]

    def jobs(self) -> Iterator[Job]:
        """The next job to run, drawn when it is asked for.

        One that another trial or sweep has trained already is not run again.
        """
        for trial in self._trials():
            seeds: list[int | None] = [*self.settings.seeds] if self.settings.seeds else [None]
            attempt = SeededTrial(trial, seeds)
            while attempt.to_lay and not attempt.is_decided:
                with self.lock:
                    try:
                        job = self._lay(attempt)
                    except (HydraException, OmegaConfBaseException) as error:
                        label = " ".join(self.space.words(trial.params))
                        self._lose(attempt, f"{label} ({str(error).splitlines()[0]})")
                        break
                    if job.is_complete():
                        attempt.ended[job.id] = job.state()
                        continue
                    waiting = self.waiting.setdefault(job.id, [])
                    waiting.append(attempt)
                    is_new = len(waiting) == 1
                if is_new:
                    yield job
            with self.lock:
                self._conclude(attempt)

    def _trials(self) -> "Iterator[Trial]":
        """Those that an ended process left, those that failed, and new ones up to num_trials."""
        import optuna

        study, names = self.study, set(self.space.distributions)
        before = study.get_trials()
        left = [trial for trial in before if trial.state.name == "RUNNING"]
        for trial in left:
            if set(trial.params) != names:  # ended while it was drawn; no job came of it
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        left = [trial for trial in left if set(trial.params) == names]
        again = {trial.user_attrs.get("again") for trial in before}
        for trial in before:
            if trial.state.name == "FAIL" and trial.number not in again and trial.params:
                study.enqueue_trial(trial.params, user_attrs={"again": trial.number})
        counted = sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in before) + len(left)
        for trial in left:
            yield optuna.trial.Trial(study, trial._trial_id)
        for _ in range(self.settings.num_trials - counted):
            number = len(study.get_trials(deepcopy=False))
            study.sampler = studies.sampler(
                self.settings.sampler, self.settings.sampler_seed, number
            )
            yield study.ask(self.space.distributions)

    def _lay(self, attempt: SeededTrial) -> Job:
        """Plan the trial's job of the next seed."""
        seed = attempt.to_lay.pop(0)
        shared = [*self.space.fixed, *self.settings.words]
        words = [*shared, *self.space.words(attempt.trial.params)]
        job = plan(self.folder, [words + ([] if seed is None else [f"seed={seed}"])], shared)[0]
        attempt.jobs.append(job)
        attempt.trial.set_user_attr("runs", [one.path.name for one in attempt.jobs])
        return job

    def _conclude(self, attempt: SeededTrial) -> None:
        """Tell the study how the trial ended, as soon as all its jobs have."""
        from optuna.trial import TrialState

        if attempt.is_told or not attempt.is_over:
            return
        trial, metric, label = attempt.trial, self.settings.metric, attempt.jobs[0].label
        if attempt.failure:
            self._lose(attempt, attempt.failure)
            return
        try:
            curve = attempt.curve(metric)
            value = None if attempt.is_decided else attempt.value(metric)
        except UserError as error:
            self._lose(attempt, f"{label} (finished: {error})", error)
            return
        attempt.is_told = True
        for step, mean in curve.items():
            trial.report(mean, step)
        if value is None:
            self.study.tell(trial, state=TrialState.PRUNED)
            log.info("trial %d: pruned: %s", trial.number, label)
        else:
            self.study.tell(trial, value)
            log.info("trial %d: %s %.4f: %s", trial.number, metric, value, label)

    def _lose(self, attempt: SeededTrial, why: str, error: UserError | None = None) -> None:
        """Tell the study of a failure; one whose process was stopped is left to go on.

        Raises:
            MissingMetric: no trial has shown that the metric exists, nor was this said before.
        """
        from optuna.trial import TrialState

        attempt.is_told = True
        self.lost.append(why)
        log.info("trial %d: %s", attempt.trial.number, why)
        if attempt.can_go_on:
            return
        is_news = False
        if isinstance(error, studies.MissingMetric):
            self.missing, is_news = error, not studies.knows_of_lack(self.study)
            attempt.trial.set_user_attr(studies.LACKS, self.settings.metric)
        self.study.tell(attempt.trial, state=TrialState.FAIL)
        if error and is_news:
            raise error
