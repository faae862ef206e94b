"""One job after another in this process."""

from collections.abc import Iterable, Iterator

from vaelab.sweep.jobs import Job
from vaelab.sweep.launchers.base import FinishedJob, Launcher
from vaelab.sweep.launchers.devices import num_devices
from vaelab.sweep.launchers.processes import run_in_process


class Serial(Launcher):
    """One job after another in this process, which imports torch once.

    What kills a job, such as a lack of memory, stops the sweep; the same command resumes it. A job
    of several devices gets a separate process, which starts the further ones.
    """

    in_background = False

    def launch(self, jobs: Iterable[Job]) -> Iterator[FinishedJob]:
        for job in jobs:
            if num_devices(job) > 1:
                yield FinishedJob(job, run_in_process(job))
            else:
                run_here(job)
                yield FinishedJob(job)


def run_here(job: Job) -> None:
    """Run a job in this process; status.json says how it ended."""
    from vaelab.sweep.job import log_error, run_job  # here, since other launchers do without torch

    try:
        run_job(job.path)
    except Exception as error:
        log_error(error)
