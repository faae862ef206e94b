"""Jobs that end with the sweep that started them, so that none runs on unnoticed."""

import os
import signal
import threading
import time

from vaelab.runs.signals import Terminated, raise_on_sigterm

PARENT_VARIABLE = "VAELAB_SWEEP"  # in a job's environment: the process id of what started it
GRACE_SECONDS = 60.0  # that a job has to save its state when it is asked to end
POLL_SECONDS = 1.0


def terminate_with_parent() -> None:
    """Have this process end soon after the one that started it, however that ended.

    A sweep that is killed can stop nothing. Its jobs would hold memory and GPUs that the next one
    counts on; asked by SIGTERM they save their state, from which they resume. What has not ended
    after `GRACE_SECONDS` is killed.

    Raises:
        Terminated: the sweep has ended already.
    """
    started_by = os.environ.get(PARENT_VARIABLE)
    if started_by is None:
        return
    is_first = "LOCAL_RANK" not in os.environ
    if is_first:
        raise_on_sigterm()
        # The further processes of one training, which Lightning starts, end with this one.
        os.environ[PARENT_VARIABLE] = str(os.getpid())
    if os.getppid() != int(started_by):
        raise Terminated
    watch = threading.Thread(target=_watch, args=(int(started_by), is_first), daemon=True)
    watch.start()


def _watch(parent: int, is_first: bool) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    if is_first:  # the others have nothing to save when the first is gone
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
