"""Writing files so that no reader, crash or full disk ever meets half of one."""

import contextlib
import json
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from vaelab.errors import UserError

RUN_ADVICE = (
    "What was written before is whole: free some space, then resume with resume=<the run folder>."
)


def write_atomically(
    path: Path, write: Callable[[BinaryIO], Any], advice: str = RUN_ADVICE
) -> None:
    """Call `write` on a file beside `path`, then move it to `path` in one step.

    Of processes that race the last wins. The folder is made where there is none.

    Raises:
        UserError: the disk is full or can't be written, with `advice`; what was at `path` before is
            still there.
    """
    # By chance, since processes of two machines or containers may have one number.
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise not_written(path, error, advice) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def write_json(path: Path, value: Any) -> None:
    """`value` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, allow_nan=True) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def not_written(path: Path, error: OSError, advice: str = RUN_ADVICE) -> UserError:
    """The sentence for a file that could not be written."""
    return UserError(f"expected to write {path}, got: {error.strerror or error}. {advice}")


def natural_order(path: str | Path) -> list[tuple[bool, int, str]]:
    """A key for sorting: job 2 before job 10."""
    parts = re.split(r"(\d+)", str(path))
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
