"""Jobs that end with the sweep that started them, so that none runs on unnoticed."""

import ctypes
import os
import signal
import sys

SWEEP = "VAELAB_SWEEP"  # the process number of the sweep, for the job that it starts
PR_SET_PDEATHSIG = 1


def end_with_sweep() -> None:
    """Have this process interrupted when the one that started it ends, however that ends (Linux).

    A sweep that is killed can stop nothing. Its jobs would hold memory and GPUs that the next one
    counts on; interrupted, they go on from their checkpoints. Elsewhere they run on, and are
    recognised as running by the number of their process.

    Raises:
        KeyboardInterrupt: it has ended already.
    """
    sweep = os.environ.get(SWEEP)
    if sweep is None:
        return
    # A shell that starts a program by "&" has it ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    first = "LOCAL_RANK" not in os.environ
    if sys.platform == "linux":
        # Further processes of one training have nothing to save when the first is gone.
        end = signal.SIGINT if first else signal.SIGKILL
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(end))
    if first and os.getppid() != int(sweep):
        raise KeyboardInterrupt
