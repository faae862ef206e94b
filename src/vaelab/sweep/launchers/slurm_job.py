"""A job of a sweep on the machine that SLURM gave it."""

import json
import logging
import os
import subprocess
from pathlib import Path

from vaelab.files import write_json
from vaelab.runs.folder import RunFolder
from vaelab.runs.process import is_main_process
from vaelab.runs.signals import Terminated
from vaelab.runs.status import State

log = logging.getLogger(__name__)

RECORD = "slurm.json"  # in the run folder: the job's number, its output, how often its time ended


def run_on_slurm(path: str, max_num_timeout: int) -> None:
    """Run the job of a folder; asked to end by SIGTERM, put it back into the queue.

    SLURM sends SIGTERM when it preempts a job, and here also before the time is over. It does not
    requeue what ends by itself in its time of grace.

    Args:
        path: the run folder.
        max_num_timeout: how often the job may go on after its time was over.
    """
    # In here, since the process that submits has no need of torch.
    from vaelab.sweep.job import FORMAT, run_job

    console = logging.StreamHandler()
    console.setFormatter(FORMAT)
    logging.basicConfig(level=logging.INFO, handlers=[console])
    try:
        run_job(path)
    except Terminated:
        # training has saved the step by now, and status.json says interrupted
        if is_main_process():
            _requeue(Path(path), os.environ["SLURM_JOB_ID"], max_num_timeout)
        raise


def _requeue(path: Path, number: str, max_num_timeout: int) -> None:
    """Have SLURM start this job again, unless it was cancelled or its time ended too often."""
    facts = _facts(number)
    if facts.get("JobState") != "RUNNING":
        return  # cancelled by the user, or requeued by SLURM itself
    if facts.get("PreemptTime", "None") == "None":
        record = json.loads((path / RECORD).read_text()) if (path / RECORD).exists() else {}
        record["num_timeouts"] = record.get("num_timeouts", 0) + 1
        write_json(path / RECORD, record)
        if record["num_timeouts"] > max_num_timeout:
            error = (
                f"its time of hydra.launcher.timeout_min was over {record['num_timeouts']} times; "
                "give it more, or type the command again to go on"
            )
            RunFolder(path).set_status(State.INTERRUPTED, error=error)
            return
    log.info("back into the queue; job %s goes on from the checkpoint", number)
    subprocess.run(["scontrol", "requeue", number], check=True, timeout=60)


def _facts(number: str) -> dict[str, str]:
    """What SLURM knows of a job, by its names."""
    words = ["scontrol", "show", "job", "--oneliner", number]
    told = subprocess.run(words, capture_output=True, text=True, timeout=60).stdout
    pairs = (word.partition("=") for word in told.split())
    return {name: value for name, _, value in pairs}
