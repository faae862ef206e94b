"""Downloads, from a server of this machine."""

import hashlib

import pytest

from vaelab.data.download import blob_id, fetch
from vaelab.errors import UserError

CONTENT = b"0123456789" * 200_000
BLOB_ID = hashlib.sha1(b"blob 2000000\0" + CONTENT).hexdigest()


def test_blob_id_is_that_of_git(tmp_path):
    (tmp_path / "x").write_bytes(b"hello\n")
    assert blob_id(tmp_path / "x") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_a_file_is_fetched_once_and_verified_each_time(web, tmp_path):
    url, folder = web
    (folder / "set.bin").write_bytes(CONTENT)
    path = tmp_path / "data" / "set.bin"
    assert fetch(f"{url}/set.bin", path, git_blob_id=BLOB_ID).read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["set.bin"]
    (folder / "set.bin").unlink()
    fetch(f"{url}/set.bin", path, git_blob_id=BLOB_ID)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match=rf"\.bin expects .* id {BLOB_ID}, got .*; delete it"):
        fetch(f"{url}/set.bin", path, git_blob_id=BLOB_ID)


def test_other_content_is_rejected_and_not_kept(web, tmp_path):
    url, folder = web
    (folder / "set.bin").write_bytes(b"another")
    path = tmp_path / "data" / "set.bin"
    with pytest.raises(UserError, match=f"expects git blob id {BLOB_ID}, .* run again, or put"):
        fetch(f"{url}/set.bin", path, git_blob_id=BLOB_ID)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("port_and_path", ["{live}/absent.bin", "http://127.0.0.1:9/x", "no-url"])
def test_no_way_to_the_file_says_what_to_do(web, tmp_path, port_and_path):
    url = port_and_path.format(live=web[0])
    path = tmp_path / "data" / "set.bin"
    with pytest.raises(UserError) as caught:
        fetch(url, path, git_blob_id=BLOB_ID, alternative="or use source=rendered")
    assert f"{path} expects a download from {url}, got: " in str(caught.value)
    assert f"or put the file at {path}, or use source=rendered." in str(caught.value)
    assert list(path.parent.iterdir()) == []
