"""Columns beside images: what is read from each format, and what is rejected in a sentence."""

import numpy as np
import pytest

from vaelab.data.columns import read_columns
from vaelab.errors import UserError

IMAGES = ["a/1.png", "a/2.png", "b.png"]


def write(folder, name, content):
    """A file of text, bytes, an array, or a dict of arrays."""
    path = folder / name
    if isinstance(content, str | bytes):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content, allow_pickle=True)
    return path


def read(path, num=3, files=None):
    columns = read_columns(path, "factors", num, files)
    return {name: column.tolist() for name, column in columns.items()}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.npy", np.array([[3, 1], [2, 1], [5, 0]]), {"0": [3, 2, 5], "1": [1, 1, 0]}),
        ("x.npy", np.array([True, False, True]), {"0": [True, False, True]}),
        ("x.npy", np.array(["b", "a ", "b"]), {"0": ["b", "a", "b"]}),
        ("x.npy", np.array(["10", "9", "9"]), {"0": [10, 9, 9]}),
        (
            "x.npz",
            {"hue": np.array([0.5, 0.25, 0.5]), "shape": np.array(["s", "e", "s"])},
            {"hue": [0.5, 0.25, 0.5], "shape": ["s", "e", "s"]},
        ),
        (
            "x.csv",
            "hue, shape ,n\n.5,s,1\n0.25,e,2\r\n\n0.50,s,10\n",
            {"hue": [0.5, 0.25, 0.5], "shape": ["s", "e", "s"], "n": [1, 2, 10]},
        ),
        ("x.csv", '\ufeffname\n"a, b"\nc\nä\n', {"name": ["a, b", "c", "ä"]}),
        ("x.txt", "cat\n dog\nant\n\n", {"0": ["cat", "dog", "ant"]}),
    ],
)
def test_formats(tmp_path, name, content, expected):
    assert read(write(tmp_path, name, content)) == expected


@pytest.mark.parametrize("given", [None, IMAGES])
def test_without_files_rows_are_in_the_order_of_the_images(tmp_path, given):
    assert read(write(tmp_path, "x.csv", "n\n5\n6\n7\n"), files=given) == {"n": [5, 6, 7]}


def test_rows_are_found_by_file(tmp_path):
    path = write(tmp_path, "x.csv", "file,n,s\nb.png,7,z\n./a/2.png,6,y\na/1.png,5,x\n")
    assert read(path, files=IMAGES) == {"n": [5, 6, 7], "s": ["x", "y", "z"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,n\nb.png,1\nb.png,2\na/1.png,3\n", "got b.png, twice, in .* remove row 1, "),
        ("file,n\nb.png,1\nc.png,2\na/1.png,3\n", "got c.png, which is no image below root, in"),
        ("file,n\nb.png,1\na/1.png,3\n", "one row for each of 3 images, got 2 in"),
        ("file\nb.png\na/1.png\na/2.png\n", "column file only for .*, got file in"),
    ],
)
def test_files_are_every_image_once(tmp_path, content, message):
    with pytest.raises(UserError, match=rf"^factors expects .*{message}"):
        read(write(tmp_path, "x.csv", content), files=IMAGES)


def test_a_column_of_files_needs_files(tmp_path):
    path = write(tmp_path, "x.csv", "file,n\na,1\nb,2\nc,3\n")
    with pytest.raises(UserError, match=r"^factors .* file only for a folder of images, .*file, n"):
        read(path)


OBJECTS = np.array([1, "a", None], dtype=object)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.npy", np.arange(4), "one row for each of 3 images, got 4 in"),
        ("x.npy", np.zeros((3, 2, 2)), r"\(N,\) or \(N, F\), got \(3, 2, 2\) in"),
        ("x.npy", np.zeros((3, 0)), r"got \(3, 0\) in"),
        ("x.npy", np.array(5), r"got \(\) in"),
        ("x.npy", np.array([1.0, np.nan, np.nan]), r"got nan in row 1 of .* \(2 such rows\)"),
        ("x.npy", np.array([1.0, 2.0, -np.inf]), "got -inf in row 2 "),
        ("x.npy", np.array([1j, 2, 3]), r"floats or strings .* got complex128 \(3,\)"),
        ("x.npy", np.array([b"a", b"b", b"c"]), r"got \|S1"),
        ("x.npy", OBJECTS, "floats or strings, got .*without Python objects"),
        ("x.npz", {"a": OBJECTS}, "floats or strings, got .*without Python objects"),
        ("x.npz", {"a": np.arange(3), "b": np.arange(5)}, r"got 5 in .* \(b\)"),
        ("x.npz", {"a": np.zeros((3, 2))}, r"shape \(N,\), got \(3, 2\) of a in"),
        ("x.npz", {}, "arrays, got none in"),
        ("x.npy", b"", "floats or strings, got .*save the file again"),
        ("x.npy", b"\x93NUMPY no header", "floats or strings, got .*save the file again"),
        ("x.npz", b"PK\x03\x04 cut short", "floats or strings, got .*save the file again"),
        ("x.csv", b"\xff\xfe\x00", "floats or strings, got .*save the file again"),
        ("x.csv", "", "first line of distinct names, got none in .*; add a header"),
        ("x.csv", "1,2\n3,4\n5,6\n", "first line of distinct names, got 1,2 in"),
        ("x.csv", "a,a\n1,2\n3,4\n5,6\n", "first line of distinct names, got a,a in"),
        ("x.csv", "a,b\n1,2\n3\n5,6\n", "2 cells per line, got 1 in row 1 of"),
        ("x.csv", "a,b\n1,x\n3,\n5,z\n", r"got none in row 1 of column b, .* \(1 such rows\)"),
        ("x.csv", "a\n1\nnan\n3\n", "got nan in row 1 of column a"),
        ("x.csv", "a\n1\n2\n", "one row for each of 3 images, got 2 in"),
        ("x.txt", "a\n\nc\n", "got none in row 1 of"),
        ("x.json", "[1, 2, 3]", r"a file \.npy, \.npz, \.csv, \.txt .*got .*x\.json; correct"),
    ],
)
def test_what_is_rejected(tmp_path, name, content, message):
    with pytest.raises(UserError, match=rf"^factors expects .*{message}"):
        read(write(tmp_path, name, content))


def test_no_file(tmp_path):
    for path in (tmp_path / "absent.npy", tmp_path):
        with pytest.raises(UserError, match=r"^factors expects a file .*, which is no file;"):
            read(path)
