"""Jobs that end with the sweep that started them, so that none runs on unnoticed."""

import os
import signal
import threading
import time

from vaelab.runs.signals import Terminated, raise_on_sigterm

SWEEP = "VAELAB_SWEEP"  # the process number of the one that starts a job, for that job
PATIENCE = 60.0  # seconds that a job has to save its state when it is asked to end
LOOK_EVERY = 1.0  # seconds


def terminate_with_parent() -> None:
    """Have this process end soon after the one that started it, however that ended.

    A sweep that is killed can stop nothing. Its jobs would hold memory and GPUs that the next one
    counts on; asked by SIGTERM they save their state, from which they go on. What has not ended a
    minute later is killed.

    Raises:
        Terminated: the sweep has ended already.
    """
    started_by = os.environ.get(SWEEP)
    if started_by is None:
        return
    first = "LOCAL_RANK" not in os.environ
    if first:
        raise_on_sigterm()
        # The further processes of one training, which Lightning starts, end with this one.
        os.environ[SWEEP] = str(os.getpid())
    if os.getppid() != int(started_by):
        raise Terminated
    watch = threading.Thread(target=_watch, args=(int(started_by), first), daemon=True)
    watch.start()


def _watch(parent: int, first: bool) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    if first:  # the others have nothing to save when the first is gone
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
