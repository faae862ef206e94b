"""A trial of a search: its jobs, how each has ended, and what they say of its settings."""

from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

from vaelab.errors import UserError, require
from vaelab.runs.status import State
from vaelab.sweep.jobs import Job
from vaelab.sweep.search.storage import missing_metric

if TYPE_CHECKING:
    from optuna import Trial


@dataclass
class SeededTrial:
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
        return any(state != State.FINISHED for state in self.ended.values())

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes."""
        return len(self.ended) == len(self.jobs) and (self.is_decided or not self.to_lay)

    @property
    def failure(self) -> str | None:
        """The first job that was neither finished nor pruned, and why; None where all were."""
        from vaelab.sweep.run import describe_failure  # here, since torch comes with it

        bad = [job for job in self.jobs if self.ended[job.id] not in ("finished", "pruned")]
        return describe_failure(bad[0]) if bad else None

    @property
    def can_go_on(self) -> bool:
        """Whether a process was stopped or still runs, so that the trial has failed at nothing."""
        return bool({State.KILLED, State.INTERRUPTED, State.RUNNING} & set(self.ended.values()))

    def value(self, metric: str) -> float:
        """A number of metrics.json, the mean over the seeds.

        Raises:
            MissingMetric: a run that did all that was asked of it lacks the number.
            UserError: a run's evaluation did not finish, or the number is none.
        """
        values = []
        for job in self.jobs:
            metrics = job.folder.read_metrics()
            value = metrics.get(metric)
            if not isinstance(value, int | float):
                require(job.is_complete(), str(job.status().get("error", "evaluation: stopped")))
                raise missing_metric(metric, metrics)
            values.append(float(value))
        mean = fmean(values)
        if mean != mean:
            raise UserError(f"a trial expects a number as {metric}, got {mean}.")
        return mean

    def curve(self, metric: str) -> dict[int, float]:
        """The metric by step, the mean over the seeds where all have it.

        Raises:
            UserError: a metrics.csv that can't be read.
        """
        curves = [job.folder.read_curve(metric) for job in self.jobs]
        steps = sorted(set.intersection(*map(set, curves)))
        return {step: fmean(curve[step] for curve in curves) for step in steps}
