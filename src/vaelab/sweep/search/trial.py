"""A trial of a search with one job per seed: whether it is over, and its value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

from vaelab.errors import require
from vaelab.runs.status import State
from vaelab.sweep.jobs import Job
from vaelab.sweep.search.storage import missing_metric


@dataclass
class SeededTrial:
    """The jobs of an Optuna trial, one per seed.

    Attributes:
        number: of the Optuna trial.
        seeds: those that have no job yet; None is the seed of the config.
        ended: the states of all jobs that have ended, by id.
        jobs: of this trial.
        rejected: why Hydra does not compose the settings, or None.
    """

    number: int
    seeds: list[int | None]
    ended: Mapping[str, State]
    jobs: list[Job] = field(default_factory=list)
    rejected: str | None = None

    @property
    def states(self) -> set[State | None]:
        """Of the jobs; None stands for those that have not ended."""
        return {self.ended.get(job.id) for job in self.jobs}

    @property
    def needs_job(self) -> bool:
        """Whether a seed has no job; it needs none where another seed did not finish."""
        return bool(self.seeds) and all(s is None or s.is_trained for s in self.states)

    @property
    def is_over(self) -> bool:
        """Whether all jobs have ended and no further one comes."""
        return None not in self.states and not self.needs_job

    @property
    def is_resumable(self) -> bool:
        """Whether a job was stopped or runs elsewhere, so that the trial may still finish."""
        return any(s and (s == State.RUNNING or s.was_stopped) for s in self.states)

    @property
    def failure(self) -> str | None:
        """Which job neither finished nor was pruned, and why; None if there is none."""
        from vaelab.sweep.run import describe_failure  # here, since torch comes with it

        bad = [job for job in self.jobs if not self.ended.get(job.id, State.PLANNED).is_done]
        return self.rejected or (describe_failure(bad[0]) if bad else None)

    def value(self, metric: str) -> float | None:
        """A number in metrics.json, averaged over the seeds; None if a job was pruned.

        Raises:
            MissingMetric: a run that was trained and evaluated lacks the number.
            UserError: the evaluation of a run did not finish, or the mean is NaN.
        """
        if State.PRUNED in self.states:
            return None
        values = []
        for job in self.jobs:
            metrics = job.folder.read_metrics()
            if not isinstance(metrics.get(metric), int | float):
                require(job.is_complete(), str(job.status().get("error", "evaluation: stopped")))
                raise missing_metric(metric, metrics)
            values.append(float(metrics[metric]))
        mean = fmean(values)
        require(mean == mean, f"{metric} expects a number, got {mean}.")
        return mean
