"""Files are whole or as they were before."""

import errno
import json
import math
import resource
from contextlib import contextmanager

import pytest
import torch

from vaelab.errors import UserError
from vaelab.files import write_atomically, write_json
from vaelab.training.callbacks import AtomicCheckpointIO


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


@contextmanager
def small_disk():
    """No file of this process may grow beyond 4,096 bytes: writing fails as on a full disk.

    Not a fixture: pytest prints between a test and the end of its fixtures, perhaps into a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def only(path):
    return [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_new_content_replaces_the_old(path):
    write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert only(path)


def test_the_folder_is_made(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_in_the_writer_leaves_the_old_file_alone(path, error):
    def write(file):
        file.write(b"half")
        raise error

    with pytest.raises(error):
        write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert only(path)


def test_old_content_is_readable_until_the_new_is_whole(path):
    def write(file):
        file.write(b"half")
        file.flush()
        assert path.read_bytes() == b"old"

    write_atomically(path, write)
    assert path.read_bytes() == b"half"


def test_processes_of_one_number_do_not_meet(path):
    """As on two machines, or in two containers: here it is the same process twice."""

    def write(file):
        file.write(b"first, ")
        write_atomically(path, lambda other: other.write(b"second"))
        assert path.read_bytes() == b"second"
        file.write(b"whole")

    write_atomically(path, write)
    assert path.read_bytes() == b"first, whole"
    assert only(path)


def test_no_space_leaves_the_old_file_and_says_what_to_do(path):
    def write(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"write .*file, got: No space left .* free some space"):
        write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert only(path)


def test_a_file_too_large_for_the_disk_leaves_the_old_one(path):
    with small_disk(), pytest.raises(UserError, match="File too large"):
        write_atomically(path, lambda file: file.write(bytes(10_000)))
    assert path.read_bytes() == b"old"
    assert only(path)


def test_a_checkpoint_too_large_for_the_disk_leaves_the_old_one_with_a_sentence(path):
    checkpoint = {"state_dict": {"weight": torch.zeros(10_000)}}
    with small_disk(), pytest.raises(UserError, match="File too large"):
        AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    assert path.read_bytes() == b"old"
    assert only(path)


def test_a_checkpoint_comes_back(path):
    AtomicCheckpointIO().save_checkpoint({"weight": torch.arange(3), "step": 4}, path)
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["weight"].tolist() == [0, 1, 2]
    assert checkpoint["step"] == 4


def test_a_file_in_the_way_of_the_folder_is_a_sentence(path):
    with pytest.raises(UserError, match=r"expected to write .*file/below"):
        write_json(path / "below", {})


def test_json_comes_back_and_ends_in_a_line_break(path):
    value = {"val/elbo": -1.5, "list": [1, "ü"], "none": None}
    write_json(path, value)
    assert json.loads(path.read_text()) == value
    assert path.read_text().endswith("}\n")


def test_json_keeps_nan(path):
    write_json(path, {"a": math.nan, "b": math.inf})
    value = json.loads(path.read_text())
    assert math.isnan(value["a"])
    assert value["b"] == math.inf


def test_json_of_the_unwritable_leaves_the_old_file(path):
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_bytes() == b"old"
