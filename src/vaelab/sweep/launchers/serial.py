"""One job after another in this process."""

from collections.abc import Iterable, Iterator

from vaelab.sweep.jobs import Job
from vaelab.sweep.launchers.base import Done, Launcher
from vaelab.sweep.launchers.devices import num_devices
from vaelab.sweep.launchers.processes import run_alone


class Serial(Launcher):
    """One job after another in this process, which pays for importing torch once.

    What kills a job, such as a lack of memory, stops the sweep; typed again it goes on. A job of
    several devices gets a process of its own, which starts the further ones.
    """

    in_background = False

    def launch(self, jobs: Iterable[Job]) -> Iterator[Done]:
        for job in jobs:
            if num_devices(job) > 1:
                yield Done(job, run_alone(job))
            else:
                in_this_process(job)
                yield Done(job)


def in_this_process(job: Job) -> None:
    """Run a job here; status.json tells how it ended."""
    from vaelab.sweep.job import run_job, tell  # here, since other launchers do without torch

    try:
        run_job(job.path)
    except Exception as error:
        tell(error)
