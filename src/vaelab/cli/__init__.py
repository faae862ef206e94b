"""The programs of the command line, one file each, and what holds for all of them."""

import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

STOPPED = "stopped before anything was written"


def program(main: Callable[[], None]) -> Callable[[], None]:
    """A `main` whose output may go away (`| head -1`, a closed terminal) without ending it."""

    @functools.wraps(main)
    def run() -> None:
        streams, logging.raiseExceptions = (sys.stdout, sys.stderr), False
        sys.stdout, sys.stderr = (LosableStream(stream or _nowhere()) for stream in streams)
        try:
            main()
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            sys.stdout, sys.stderr = streams

    return run


class LosableStream:
    """A stream that drops what is written once nobody reads it, or where it can't be stored."""

    def __init__(self, stream: Any):
        self.stream = stream

    def write(self, text: str) -> int:
        try:
            return self.stream.write(text)
        except OSError:
            self._drop_from_now_on()
            return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except OSError:
            self._drop_from_now_on()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _drop_from_now_on(self) -> None:
        # The descriptor itself, so that what is buffered and what C libraries write is dropped too.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)


def _nowhere() -> Any:
    """In place of a stream that was closed before the program began."""
    return open(os.devnull, "w")


@contextmanager
def ending_at_control_c() -> Iterator[None]:
    """Within this Ctrl-C ends the process, as long as there is nothing to lose.

    For imports: one that is interrupted in C code may end in another error than the interruption.
    """

    def end(*_: object) -> None:
        print(STOPPED, file=sys.stderr, flush=True)
        os._exit(128 + signal.SIGINT)

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background
        yield
        return
    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _say_stopped(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Ctrl-C in the first seconds, while modules are imported, is no error to be traced."""
    if issubclass(kind, KeyboardInterrupt):
        print(STOPPED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _say_stopped
