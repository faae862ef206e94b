"""Downloads: fetch a file once and verify its checksum."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vaelab.data.cache import DATA_ADVICE
from vaelab.errors import UserError, require
from vaelab.files import write_atomically

_CHUNK = 1 << 20  # bytes
_TIMEOUT_SECONDS = 30


def fetch(url: str, path: Path, *, git_blob_id: str, alternative: str = "") -> Path:
    """The file at `path`, downloaded from `url` if it isn't there yet, verified either way.

    Args:
        url: of the file.
        path: where to store it; it appears only when complete and verified.
        git_blob_id: the id that git gives the content: sha1("blob " + size + "\\0" + content).
        alternative: what to do without the file, for the error message, such as "or use B".

    Raises:
        UserError: the url can't be reached, or the content is different.
    """
    if path.exists():
        _require_blob_id(path, git_blob_id, f"delete it to download it again from {url}.")
        return path

    def write(file: BinaryIO) -> None:
        for chunk in _download(url, path, alternative):
            file.write(chunk)
        file.flush()
        _require_blob_id(
            Path(file.name),
            git_blob_id,
            f"the download from {url} is incomplete or the file there has changed: run again, "
            f"{_alternatives(path, alternative)}",
        )

    write_atomically(path, write, DATA_ADVICE)
    return path


def blob_id(path: Path) -> str:
    """The id that git gives a file's content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _require_blob_id(path: Path, expected: str, advice: str) -> None:
    got = blob_id(path)
    require(got == expected, f"{path} expects git blob id {expected}, got {got}; {advice}")


def _alternatives(path: Path, alternative: str) -> str:
    return ", ".join(filter(None, (f"or put the file at {path}", alternative))) + "."


def _download(url: str, path: Path, alternative: str) -> Iterator[bytes]:
    """The content at the url in chunks, with progress on a terminal's stderr."""
    # Imported late: most runs download nothing, and these bring in much of the standard library.
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            total, done = int(response.headers.get("Content-Length") or 0), 0
            print(f"Downloading {url} ({total / 1e6:.1f} MB)", file=sys.stderr)
            while chunk := response.read(_CHUNK):
                done += len(chunk)
                if sys.stderr.isatty():
                    print(f"\r{done / 1e6:.1f} MB", end="\n" * (done == total), file=sys.stderr)
                yield chunk
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()  # releases the connection
        raise UserError(
            f"{path} expects a download from {url}, got: {error}; connect this machine to the "
            f"network, {_alternatives(path, alternative)}"
        ) from error
