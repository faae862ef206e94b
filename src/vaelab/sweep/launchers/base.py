"""What a launcher does: it runs jobs somewhere, and yields each when it has ended."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vaelab.sweep.jobs import Job


class FinishedJob(NamedTuple):
    """A job that has ended, well or not; its run folder says how.

    reason: what the folder can't know, such as the signal that killed the process.
    """

    job: Job
    reason: str | None = None


class Launcher(ABC):
    """Runs jobs by `vaelab.sweep.job.run_job`, somewhere.

    The next job is taken only when there is room for it: a search decides then what it is, in the
    thread that iterates over `launch`, so that it needs no lock.

    Attributes:
        in_background: whether the jobs leave the terminal to the sweep, which then shows them.
        can_reattach: whether its jobs outlive the sweep's process, so that a later sweep hands it
            those that are running too, to wait for them.
    """

    in_background: bool = True
    can_reattach: bool = False

    @abstractmethod
    def launch(self, jobs: Iterable[Job]) -> Iterator[FinishedJob]:
        """Run the jobs; yield each as soon as it has ended.

        A job that fails stops no other.

        Raises:
            UserError: the launcher can't work at all; nothing was started.
        """
