"""Settings searched by Optuna: each trial is a job, or one for each seed, judged by its metrics."""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from vaelab.sweep import study as studies
from vaelab.sweep.jobs import Job, plan, sole_use
from vaelab.sweep.search_settings import SearchSettings, check, facts
from vaelab.sweep.space import Space, parse

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
        UserError: a space that can't be, a setting out of range, or another search in the folder.
        SweepFailed: trials that did not finish, after all were tried.
    """
    studies.require_optuna()
    chosen = SearchSettings(**settings)
    words = [word for word in typed if not word.lstrip("+~").startswith("hydra")]
    space = parse([*(f"{key}={value}" for key, value in (params or {}).items()), *words])
    studies.sampler(chosen.sampler, chosen.sampler_seed, 0)
    example = check(space, chosen)
    from vaelab.sweep.sweep import SweepFailed, build_launcher

    with sole_use(folder):
        built = build_launcher(launcher)
        study = studies.open_study(folder, chosen.direction, facts(space, chosen, example))
        search = Search(folder, space, chosen, study)
        search.run(built)
        print(studies.best_trials(study, folder, chosen.metric))
    if search.lost:
        raise SweepFailed(
            f"{len(search.lost)} of {chosen.num_trials} trials did not finish, the first of them "
            f"{search.lost[0]}; the same command goes on with them."
        )


@dataclass
class Attempt:
    """A trial and its jobs.

    Attributes:
        to_lay: seeds without a job as yet; None is the seed of the config.
        ended: the jobs that have, and in which state.
        is_told: whether the study knows how it ended, or that it is to go on another time.
    """

    trial: "Trial"
    to_lay: list[int | None]
    jobs: list[Job] = field(default_factory=list)
    ended: dict[str, str] = field(default_factory=dict)
    is_told: bool = False

    @property
    def is_decided(self) -> bool:
        """Whether a job did not finish, so that those of other seeds need not begin."""
        return any(state != "finished" for state in self.ended.values())

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes."""
        return len(self.ended) == len(self.jobs) and (self.is_decided or not self.to_lay)


@dataclass
class Search:
    """The loop between Optuna, which says what to try, and a launcher, which has it trained.

    Attributes:
        lost: the trials of this loop that failed or were stopped, in words.
    """

    folder: Path
    space: Space
    settings: SearchSettings
    study: "Study"
    lost: list[str] = field(default_factory=list)
    waiting: dict[str, list[Attempt]] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.RLock)  # launchers may ask in a thread of theirs

    def run(self, launcher: "Launcher") -> None:
        """Train all trials that are left."""
        from vaelab.sweep.sweep import ended

        for job, state in ended(launcher, self.jobs()):
            with self.lock:
                for attempt in self.waiting.pop(job.id):
                    attempt.ended[job.id] = state
                    self._conclude(attempt)

    def jobs(self) -> Iterator[Job]:
        """The next job to run, drawn when it is asked for.

        One that another trial or sweep has trained already is not run again.
        """
        for trial in self._trials():
            seeds: list[int | None] = [*self.settings.seeds] if self.settings.seeds else [None]
            attempt = Attempt(trial, seeds)
            while attempt.to_lay and not attempt.is_decided:
                with self.lock:
                    job = self._lay(attempt)
                    if job.state in ("finished", "pruned"):
                        attempt.ended[job.id] = job.state
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

    def _lay(self, attempt: Attempt) -> Job:
        """Plan the trial's job of the next seed."""
        seed = attempt.to_lay.pop(0)
        shared = [*self.space.fixed, *self.settings.words]
        words = [*shared, *self.space.words(attempt.trial.params)]
        job = plan(self.folder, [words + ([] if seed is None else [f"seed={seed}"])], shared)[0]
        attempt.jobs.append(job)
        attempt.trial.set_user_attr("runs", [one.path.name for one in attempt.jobs])
        return job

    def _conclude(self, attempt: Attempt) -> None:
        """Tell the study how the trial ended; one whose process was stopped is left to go on."""
        from optuna.trial import TrialState

        from vaelab.sweep.sweep import failure

        if attempt.is_told or not attempt.is_over:
            return
        attempt.is_told = True
        trial, states, value = attempt.trial, set(attempt.ended.values()), float("nan")
        if states <= {"finished", "pruned"}:
            for step, mean in self._curve(attempt).items():
                trial.report(mean, step)
        if states == {"finished"}:
            value = fmean(self._value(job) for job in attempt.jobs)
        label = attempt.jobs[0].label
        if value == value:
            self.study.tell(trial, value)
            log.info("trial %d: %s %.4f: %s", trial.number, self.settings.metric, value, label)
        elif states <= {"finished", "pruned"} and "pruned" in states:
            self.study.tell(trial, state=TrialState.PRUNED)
            log.info("trial %d: pruned: %s", trial.number, label)
        else:
            if not states & {"killed", "interrupted"}:
                self.study.tell(trial, state=TrialState.FAIL)
            ended = attempt.ended
            bad = [job for job in attempt.jobs if ended[job.id] not in ("finished", "pruned")]
            self.lost.append(failure([*bad, attempt.jobs[0]][0]))
            log.info("trial %d: %s", trial.number, self.lost[-1])

    def _value(self, job: Job) -> float:
        metrics = job.folder.read_metrics()
        if self.settings.metric not in metrics:
            raise studies.missing_metric(self.settings.metric, metrics)
        return float(metrics[self.settings.metric])

    def _curve(self, attempt: Attempt) -> dict[int, float]:
        """The metric by step, the mean over the seeds where all have it."""
        curves = [job.folder.read_curve(self.settings.metric) for job in attempt.jobs]
        steps = sorted(set.intersection(*map(set, curves)))
        return {step: fmean(curve[step] for curve in curves) for step in steps}
