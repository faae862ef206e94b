"""SIGTERM, by which `kill` and clusters ask a process to end: in good order, with exit code 143."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from vaelab.run_folder import is_main_process


class Terminated(SystemExit):
    """The process was asked to end by SIGTERM."""

    def __init__(self) -> None:
        # Lightning kills the first of its processes when another ends with a code that is not 0.
        super().__init__(128 + signal.SIGTERM if is_main_process() else 0)


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """SIGTERM raises Terminated inside, as Ctrl+C raises KeyboardInterrupt."""
    before = answer_sigterm(_end)
    try:
        yield
    finally:
        if before is not None:
            answer_sigterm(before)


def answer_sigterm(answer: Any) -> Callable | int | None:
    """Have SIGTERM call `answer(signal, frame)`; returns what it did before.

    Python allows it in the main thread alone; in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    return signal.signal(signal.SIGTERM, answer)


def _end(*_: Any) -> NoReturn:
    raise Terminated
