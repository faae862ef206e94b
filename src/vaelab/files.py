"""Writing files so that no reader, crash or full disk ever meets half of one."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from vaelab.errors import UserError


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Call `write` on a file beside `path`, then move it to `path` in one step.

    Raises:
        UserError: the disk is full or the quota is used up; what was at `path` is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        refuse_full_disk(path, error)
        raise
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """`value` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, allow_nan=True) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def refuse_full_disk(path: Path, error: OSError) -> None:
    """Raise the sentence for a full disk, if that is what `error` says."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise UserError(
            f"writing {path} needs free space, but the disk is full ({os.strerror(error.errno)}); "
            "what was written before is whole. Free some space and run the same command again, a "
            "training run with resume=<its run folder>."
        ) from error
