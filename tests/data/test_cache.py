"""Cached arrays: complete and verified, or rejected."""

import errno

import numpy as np
import pytest

from vaelab.data.cache import DATA_ADVICE, checksum, open_array, store_array
from vaelab.errors import UserError
from vaelab.files import write_atomically

ROWS = np.arange(600, dtype=np.uint8).reshape(50, 12)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "folder" / "rows.npy"
    store_array(path, ROWS.shape, (ROWS[:20], ROWS[20:]))
    return path


def test_chunks_come_back_as_one_array(path):
    rows, digest = open_array(path)
    assert (rows == ROWS).all()
    assert (np.load(path) == ROWS).all()  # a .npy file for everybody else
    assert digest == open_array(path)[1]
    assert [p.name for p in path.parent.iterdir()] == ["rows.npy"]


def test_writing_to_the_array_leaves_the_file_alone(path):
    rows, _ = open_array(path)
    rows[:] = 0
    assert (open_array(path)[0] == ROWS).all()


@pytest.mark.parametrize("size", [0, 10, 64, 100, 728, 791])
def test_a_truncated_file_is_rejected(path, size):
    content = path.read_bytes()
    assert len(content) > size
    path.write_bytes(content[:size])
    with pytest.raises(UserError, match=r"rows\.npy expects .*, got .* truncated .*; delete it"):
        open_array(path)


@pytest.mark.parametrize("position", [0, 130, 700, -1])
def test_an_altered_byte_is_rejected(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"expects SHA-256 [0-9a-f]{64}, got "):
        open_array(path)


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path):
    def write(file):
        file.write(b"some")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"No space left on device\. Free some space.*data_root"):
        write_atomically(tmp_path / "x", write, DATA_ADVICE)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(UserError, match="VAELAB_DATA_DIR"):
        write_atomically(tmp_path / "data" / "dsprites" / "x", lambda file: None, DATA_ADVICE)


def test_an_old_file_survives_a_failed_write(path):
    with pytest.raises(ZeroDivisionError):
        store_array(path, (1,), (1 // n for n in [0]))
    assert (open_array(path)[0] == ROWS).all()


def test_checksum_depends_on_values():
    assert checksum(ROWS) == checksum(ROWS[:20], ROWS[20:]) != checksum(ROWS + np.uint8(1))
