"""Being asked to end, by SIGTERM (`kill`, clusters, a stopped sweep) or Ctrl-C: in good order."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from vaelab.runs.process import is_main_process

CTRL_C_MESSAGE = (
    b"\nCtrl-C: finishing and saving this step; press it again to stop at once, unsaved\n"
)


# SIGHUP, where the terminal is closed, is answered like SIGTERM.
NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Terminated(SystemExit):
    """The process was asked to end by a signal; its exit code is 143 for SIGTERM, 130 for Ctrl-C.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        # Lightning kills the first of its processes when another ends with a code that is not 0.
        super().__init__(128 + number if is_main_process() else 0)


def raise_on_sigterm() -> None:
    """From now on SIGTERM and SIGHUP raise Terminated, as Ctrl-C raises KeyboardInterrupt."""
    if _can_set_handlers():
        signal.signal(signal.SIGTERM, _raise)
        if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # and not under nohup
            signal.signal(signal.SIGHUP, _raise)


@contextmanager
def terminate_on_sigterm() -> Iterator[None]:
    """SIGTERM and SIGHUP raise Terminated inside; afterwards all do what they did before."""
    before = _handlers()
    raise_on_sigterm()
    try:
        yield
    finally:
        _restore(before)


def handle_at_step(request: Callable[[int], Any]) -> Callable[[], None]:
    """Have SIGTERM and the first Ctrl-C call `request` with the signal's number, and end nothing.

    A second Ctrl-C raises KeyboardInterrupt. Where Ctrl-C is ignored, as by a shell's "&", or
    another program answers it, that stays.

    Returns:
        What makes both as they were before.
    """
    before = _handlers()

    def handle(number: int, _: Any) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if is_main_process():
                # A signal may come in the middle of a log line, where another can't be written.
                with contextlib.suppress(OSError):
                    os.write(2, CTRL_C_MESSAGE)
        request(number)

    for number, handler in before.items():
        if number == signal.SIGTERM or handler in (signal.default_int_handler, _raise):
            signal.signal(number, handle)
    return lambda: _restore(before)


def _can_set_handlers() -> bool:
    """Python allows it in the main thread alone; in others nothing changes."""
    return threading.current_thread() is threading.main_thread()


def _handlers() -> dict[int, Any]:
    return {n: signal.getsignal(n) for n in NUMBERS if _can_set_handlers()}


def _restore(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None:  # of a program around this one, which Python can't name
            signal.signal(number, handler)


def _raise(number: int, _: Any) -> NoReturn:
    raise Terminated(number)
