"""A job of a sweep on the machine that SLURM gave it, put back into the queue by submitit."""

import logging
import os
import signal
import subprocess

from submitit import JobEnvironment
from submitit.core.utils import DelayedSubmission, UncompletedJobError

from vaelab.runs.folder import RunFolder
from vaelab.runs.process import is_main_process
from vaelab.runs.signals import Terminated
from vaelab.runs.status import State

log = logging.getLogger(__name__)


class SlurmRun:
    """Runs the job of a run folder; asked to end by SIGTERM, it is requeued.

    SLURM sends SIGTERM when it preempts a job, and here also before its time is over, and does not
    requeue what then ends by itself. submitit does, on its own signal, but at once: so that signal
    is raised here when training has ended the step it was at and saved it.
    """

    def __call__(self, path: str) -> None:
        # Here, since the process that submits has no need of torch.
        from vaelab.sweep.job import log_to_terminal, run_job

        log_to_terminal()
        try:
            run_job(path)
        except Terminated:
            # submitit would requeue a job that the user has cancelled, too.
            if is_main_process() and _is_running(os.environ["SLURM_JOB_ID"]):
                _requeue(path)
            raise

    def checkpoint(self, path: str) -> DelayedSubmission:
        """What submitit runs when the job starts again."""
        return DelayedSubmission(self, path)


def _requeue(path: str) -> None:
    """Have submitit requeue this job and end it, unless its time was over too often."""
    log.info("back into the queue; the job resumes from its checkpoint")
    try:
        signal.raise_signal(getattr(signal, f"SIG{JobEnvironment.USR_SIG}"))
    except UncompletedJobError:
        error = (
            "its time of hydra.launcher.timeout_min was over more than "
            "hydra.launcher.max_num_timeout times; allow it more, or type the command again to "
            "resume it"
        )
        RunFolder(path).set_status(State.INTERRUPTED, error=error)


def _is_running(number: str) -> bool:
    command = ["scontrol", "show", "job", "--oneliner", number]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    return "JobState=RUNNING" in answer.split()
