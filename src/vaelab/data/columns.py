"""Columns of values beside the images, one row per image: .npy, .npz, .csv and .txt files."""

import csv
import os
import posixpath
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import UserError, require

UNREADABLE = (
    *(OSError, EOFError, ValueError, OverflowError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, csv.Error),
)
FILE = "file"  # the column of paths

Columns = dict[str, NDArray]


def read_columns(
    path: Path, argument: str, num_images: int, files: Sequence[str] | None = None
) -> Columns:
    """Name -> (N,) values, one per image; columns of .npy and .txt are named "0", "1", ...

    A .csv file has a header of names, and may have a first column `file` where images are files:
    its rows are then brought into the order of the images. A column of text is one of integers or
    floats where all of it can be read so.

    Args:
        path: .npy (N,) or (N, F), .npz of arrays (N,), .csv, or .txt of one value per line.
        argument: that names the file, for the error message.
        num_images: N.
        files: (N,) the paths of the images in their order, with slashes; None where the images
            are not files.

    Raises:
        UserError: no such file, another format, number of rows or type, or files that are not the
            images.
    """
    require(
        path.suffix in _READERS and path.is_file(),
        f"{argument} expects a file {', '.join(_READERS)} with one row per image, got {path}"
        f"{'' if path.is_file() else ', which is no file'}; correct it.",
    )
    try:
        columns = _READERS[path.suffix](path, argument)
    except UserError:
        raise
    except UNREADABLE as error:
        raise UserError(
            f"{argument} expects integers, floats or strings, got {path}: "
            f"{' '.join(str(error).split())}; save the file again, without Python objects."
        ) from error
    for name, column in columns.items():
        require(
            len(column) == num_images,
            f"{argument} expects one row for each of {num_images} images, got {len(column)} in "
            f"{path}{f' ({name})' if path.suffix == '.npz' else ''}; give every image one.",
        )
    if path.suffix == ".csv" and next(iter(columns)) == FILE:
        columns = _sort_by_file(columns, path, argument, files)
    return {name: require_column(argument, name, values) for name, values in columns.items()}


def require_column(argument: str, name: str, column: ArrayLike) -> NDArray:
    """Integers, floats or strings (N,); text is read as numbers where all of it can be.

    Raises:
        UserError: another type or shape, a number that is not finite, or no text.
    """
    array = np.asarray(column)
    require(
        array.dtype.kind in "biufU" and array.ndim == 1,
        f"{argument} expects integers, floats or strings of shape (N,), got {array.dtype} "
        f"{array.shape} in column {name}; give one value per image.",
    )
    if array.dtype.kind == "U":
        array = _to_numbers(np.char.strip(array))
    bad = array == "" if array.dtype.kind == "U" else ~np.isfinite(array)
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f"{argument} expects a value for each image, got {array[row] or 'none'} in row {row} "
            f"of column {name}, counted from 0 ({bad.sum()} such rows); fill them in, or leave "
            "these images out."
        )
    return array


def require_room(path: Path, argument: str) -> None:
    """Require that what a .npz file says it holds fits into memory, before it is unpacked.

    Raises:
        UserError: it does not.
    """
    with zipfile.ZipFile(path) as archive:
        declared = sum(member.file_size for member in archive.infolist())
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    require(
        declared <= available,
        f"{argument} expects arrays that fit into memory, got {declared / 2**30:,.1f} GiB in "
        f"{path} with {available / 2**30:,.1f} GiB free; save it as .npy, which is read as needed.",
    )


def _to_numbers(texts: NDArray[np.str_]) -> NDArray:
    for number in (np.int64, np.float64):
        try:
            return texts.astype(number)
        except (ValueError, OverflowError):
            continue
    return texts


def _read_npy(path: Path, argument: str) -> Columns:
    array = np.lib.format.open_memmap(path, mode="r")  # which unpickles nothing
    require(
        array.ndim in (1, 2) and array.size > 0,
        f"{argument} expects an array (N,) or (N, F), got {array.shape} in {path}; reshape it and "
        "save it again.",
    )
    return {str(i): column for i, column in enumerate(np.atleast_2d(array.T))}


def _read_npz(path: Path, argument: str) -> Columns:
    require_room(path, argument)
    with np.load(path, allow_pickle=False) as content:
        columns = {name: content[name] for name in content.files}
    for name, column in columns.items():
        require(
            column.ndim == 1,
            f"{argument} expects arrays of shape (N,), got {column.shape} of {name} in {path}; "
            "save one array per factor.",
        )
    require(bool(columns), f"{argument} expects arrays, got none in {path}; save one per factor.")
    return columns


def _read_csv(path: Path, argument: str) -> Columns:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        lines = [[cell.strip() for cell in line] for line in csv.reader(stream) if line]
    header = lines[0] if lines else []
    require(
        bool(header) and len(set(header)) == len(header) and all(map(_is_name, header)),
        f"{argument} expects a first line of distinct names, got {','.join(header) or 'none'} in "
        f"{path}; add a header.",
    )
    for number, line in enumerate(lines):
        require(
            len(line) == len(header),
            f"{argument} expects {len(header)} cells per line, got {len(line)} in row "
            f"{number - 1} of {path}, counted from 0; correct it.",
        )
    return {name: np.array([line[i] for line in lines[1:]]) for i, name in enumerate(header)}


def _read_txt(path: Path, argument: str) -> Columns:
    return {"0": np.array(path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n"))}


_READERS: dict[str, Callable[[Path, str], Columns]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".csv": _read_csv,
    ".txt": _read_txt,
}


def _is_name(cell: str) -> bool:
    return cell != "" and _to_numbers(np.array([cell])).dtype.kind == "U"


def _sort_by_file(
    columns: Columns, path: Path, argument: str, files: Sequence[str] | None
) -> Columns:
    """The other columns, their rows in the order of `files`."""
    require(
        files is not None and len(columns) > 1,
        f"{argument} expects a column {FILE} only for a folder of images, beside others, got "
        f"{', '.join(columns)} in {path}; leave {FILE} out, or add what it says of the images.",
    )
    rows: dict[str, int] = {}
    known = set(files or ())
    for row, cell in enumerate(columns[FILE].tolist()):
        file = posixpath.normpath(cell)
        problem = "twice" if file in rows else "which is no image below root"
        require(
            file in known and file not in rows,
            f"{argument} expects a row for each image, got {cell}, {problem}, in {path}; correct "
            f"or remove row {row}, counted from 0.",
        )
        rows[file] = row
    order = [rows[file] for file in files or ()]  # as many distinct files as images: all of them
    return {name: column[order] for name, column in columns.items() if name != FILE}
