"""Writing files so that no reader, crash or full disk ever meets half of one."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from vaelab.errors import UserError

log = logging.getLogger(__name__)

RUN_ADVICE = (
    "What was written before is whole: free some space, then resume with resume=<the run folder>."
)


def write_atomically(
    path: Path,
    write: Callable[[BinaryIO], Any],
    advice: str = RUN_ADVICE,
    before_replacing: Callable[[], Any] = lambda: None,
) -> None:
    """Call `write` on a file beside `path`, then move it to `path` in one step that lasts.

    Both the file and its folder are synchronised with the disk. Of processes that race the last
    wins. The folder is made where there is none.

    Args:
        before_replacing: called at the last moment; if it raises, `path` stays as it was.

    Raises:
        UserError: the disk is full or can't be written, with `advice`; what was at `path` before is
            still there.
    """
    part = _part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        before_replacing()
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as error:
        raise not_written(path, error, advice) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def write_json(path: Path, value: Any, before_replacing: Callable[[], Any] = lambda: None) -> None:
    """`value` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, allow_nan=True) + "\n"
    write_atomically(path, lambda f: f.write(text.encode()), before_replacing=before_replacing)


def read_json(path: Path, kind: type, advice: str) -> Any:
    """The content of a JSON file.

    Args:
        kind: dict or list, which the content has to be.
        advice: what to do about a damaged file, for the end of the message.

    Raises:
        UserError: no JSON, or another kind.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # a UnicodeDecodeError is one too
        raise UserError(f"{path} expects JSON, got {error}; {advice}.") from error
    if not isinstance(content, kind):
        found = type(content).__name__
        raise UserError(f"{path} expects a {kind.__name__} in JSON, got {found}; {advice}.")
    return content


def copy_atomically(source: Path, path: Path) -> None:
    """Give `source` the second name `path`: a hard link, or a copy where there are none.

    Raises:
        UserError: the disk is full or can't be written.
    """
    part = _part_of(path)
    try:
        try:
            os.link(source, part)
        except OSError:  # file systems without hard links
            shutil.copyfile(source, part)
        os.replace(part, path)
    except OSError as error:
        raise not_written(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power failure, where the system can do that."""
    with contextlib.suppress(PermissionError):  # folders that may be written but not read
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # file systems that synchronise no folders
                raise
        finally:
            os.close(descriptor)


def remove_partial_files(folder: Path) -> None:
    """Remove what processes that were killed while writing left in a folder and those below it."""
    for part in folder.rglob(".*.part"):
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def locked(path: Path, wait_seconds: float = 0.0) -> Iterator[bool]:
    """Hold an exclusive lock on a file, which the system releases when the process ends.

    Yields:
        False where another process still has the lock after `wait_seconds`; True where the file
        system has no locks.
    """
    with path.open("a+") as file:
        end = time.monotonic() + wait_seconds
        while not (held := _try_lock(file)) and time.monotonic() < end:
            time.sleep(0.02)
        yield held


def _try_lock(file: IO[Any]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        log.warning(
            "%s can't be locked: make sure that no other process uses its folder", file.name
        )
    return True


def _part_of(path: Path) -> Path:
    """A name beside `path`, random since processes of two hosts may have the same number."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")


def not_written(path: Path, error: OSError, advice: str = RUN_ADVICE) -> UserError:
    """The sentence for a file that could not be written."""
    return UserError(f"expected to write {path}, got: {error.strerror or error}. {advice}")


def natural_order(path: str | Path) -> list[tuple[bool, int, str]]:
    """A key for sorting: job 2 before job 10."""
    parts = re.split(r"(\d+)", str(path))
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
