"""The heartbeat of a run: every few seconds status.json says that it is running, and its step."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from vaelab.errors import UserError
from vaelab.runs.folder import RunFolder
from vaelab.runs.status import LostRun, State

SECONDS = 10.0


class Heartbeat:
    """What each heartbeat writes: the step of the trainer that it watches.

    Attributes:
        ending: what status.json is to say after the last beat, if no error comes.
    """

    def __init__(self) -> None:
        self.trainer: Any = None
        self.ending: dict[str, Any] = {"state": State.FINISHED}

    def watch(self, trainer: Any) -> None:
        """Include the step of this trainer from now on."""
        self.trainer = trainer

    def stop_training(self) -> None:
        """Have the trainer stop after its step; its save then raises `LostRun`."""
        if self.trainer is not None:
            self.trainer.should_stop = True

    def facts(self) -> dict[str, int]:
        """step and num_steps of the trainer."""
        if self.trainer is None:
            return {}
        return {"step": self.trainer.global_step, "num_steps": self.trainer.max_steps}


@contextlib.contextmanager
def heartbeat(folder: RunFolder) -> Iterator[Heartbeat]:
    """Keep status.json fresh in a thread, during a long evaluation too.

    Another host can't ask whether the process is alive; it relies on the time in status.json.
    """
    heart, over = Heartbeat(), threading.Event()

    def beat() -> None:
        while not over.wait(SECONDS):
            try:
                folder.set_status(State.RUNNING, **heart.facts())
            except LostRun:
                heart.stop_training()
                return
            except UserError:
                pass  # a disk that is full for a while fails the run at its next save, not here

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield heart
    finally:
        over.set()
        thread.join()
