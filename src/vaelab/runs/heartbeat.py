"""Signs of life of a run: status.json says every few seconds that it goes on, and at which step."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from vaelab.errors import UserError
from vaelab.runs.folder import RunFolder
from vaelab.runs.status import State

SECONDS = 10.0


class Heartbeat:
    """What a run tells of itself: nothing but that it lives, until `watch`.

    Attributes:
        ending: what status.json is to say after the last beat, if no error comes.
    """

    def __init__(self) -> None:
        self.trainer: Any = None
        self.ending: dict[str, Any] = {"state": State.FINISHED}

    def watch(self, trainer: Any) -> None:
        """From now on tell the step of this trainer."""
        self.trainer = trainer

    def facts(self) -> dict[str, int]:
        """step and num_steps of the trainer."""
        if self.trainer is None:
            return {}
        return {"step": self.trainer.global_step, "num_steps": self.trainer.max_steps}


@contextlib.contextmanager
def heartbeat(folder: RunFolder) -> Iterator[Heartbeat]:
    """Keep status.json fresh in a thread, so that also a long evaluation shows signs of life.

    Another machine can't ask whether the process lives; it goes by the time in status.json.
    """
    heart, over = Heartbeat(), threading.Event()

    def beat() -> None:
        while not over.wait(SECONDS):
            # A disk that is full for a while is the run's trouble and not that of its pulse.
            with contextlib.suppress(UserError):
                folder.set_status(State.RUNNING, **heart.facts())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield heart
    finally:
        over.set()
        thread.join()
