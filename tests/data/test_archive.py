"""The original archive's format, on a small archive of the same make."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from vaelab.data import DSprites, FactorSpace
from vaelab.data.archive import read_packed_chunks
from vaelab.data.download import blob_id
from vaelab.data.rendering import FACTORS, render
from vaelab.errors import UserError

SIZES = (3, 2, 4, 3, 3)
SPACE = FactorSpace(FACTORS, SIZES)


class Bomb:
    """Goes off when unpickled."""

    def __reduce__(self):
        return (exec, ("raise AssertionError('the metadata was unpickled')",))


def write_archive(path, **changes):
    bits = render(SIZES, 16)
    classes = np.stack(np.unravel_index(np.arange(len(SPACE)), SIZES), -1)
    members = {
        "metadata": np.array(Bomb(), dtype=object),
        "imgs": np.unpackbits(bits, axis=1).reshape(-1, 16, 16),
        "latents_classes": np.insert(classes, 0, 0, axis=1),
        "latents_values": np.zeros((len(SPACE), 6)),
    } | changes
    np.savez_compressed(path, **{k: v for k, v in members.items() if v is not None})
    return bits


def read(path):
    return np.concatenate(list(read_packed_chunks(path, SPACE, 16)))


def test_the_archive_would_go_off(tmp_path):
    write_archive(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=True) as file, pytest.raises(AssertionError):
        file["metadata"]
    with pytest.raises(AssertionError):
        pickle.loads(pickle.dumps(Bomb()))


def test_images_are_packed_chunk_by_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr("vaelab.data.archive._CHUNK", 50)
    bits = write_archive(tmp_path / "a.npz")
    chunks = list(read_packed_chunks(tmp_path / "a.npz", SPACE, 16))
    assert [len(chunk) for chunk in chunks] == [50, 50, 50, 50, 16]
    assert (np.concatenate(chunks) == bits).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"imgs": None}, "no item named 'imgs.npy'"),
        (
            {"imgs": np.zeros((5, 16, 16), np.uint8)},
            r"^imgs of .* expects uint8 \(216, 16, 16\) .*, got uint8 \(5, 16, 16\); use the",
        ),
        ({"imgs": np.zeros((216, 16, 16), np.int16)}, "expects uint8 .* got int16"),
        ({"imgs": np.full((216, 16, 16), 255, np.uint8)}, "expects pixels 0 and 1, got 255; use"),
        ({"imgs": np.array(Bomb(), dtype=object)}, "got object"),
        (
            {"latents_classes": np.zeros((216, 6), np.int64)},
            "images in the order shape, scale",
        ),
    ],
)
def test_other_content_is_rejected(tmp_path, changes, message):
    write_archive(tmp_path / "a.npz", **changes)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "a.npz")


def test_damage_is_named(tmp_path):
    path = tmp_path / "a.npz"
    write_archive(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"the dSprites archive .* a zip file; delete the file"):
        read(path)
    short = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(short, "w") as new:
        for key in ("imgs.npy", "latents_classes.npy"):
            new.writestr(key, old.read(key)[:-7])
    path.write_bytes(short.getvalue())
    with pytest.raises(UserError, match="7 bytes too few"):
        read(path)


@pytest.fixture
def publish(monkeypatch):
    """url, git blob id -> from now on they are those of the original archive."""

    def at(url, git_blob_id=None):
        monkeypatch.setattr("vaelab.data.dsprites.URL", url)
        if git_blob_id:
            monkeypatch.setattr("vaelab.data.dsprites.GIT_BLOB_ID", git_blob_id)

    return at


def test_download_and_rendering_give_the_same_data(web, tmp_path, publish):
    url, folder = web
    write_archive(folder / "a.npz")
    options = {"num_val": 10, "image_size": 16, "factor_sizes": SIZES}
    publish(f"{url}/a.npz", blob_id(folder / "a.npz"))
    archived = DSprites(tmp_path, "archive", **options)
    splits = archived.load()
    rendered = DSprites(tmp_path, **options).load()
    assert (splits.train.images.storage == rendered.train.images.storage).all()
    assert splits.checksum == rendered.checksum
    (folder / "a.npz").unlink()
    (tmp_path / "dsprites" / "a.npz").unlink()
    assert archived.load().checksum == splits.checksum  # from the cache


def test_no_network_names_the_alternative(tmp_path, publish):
    publish("http://127.0.0.1:9/a.npz")
    with pytest.raises(UserError, match=r"from http://127\.0\.0\.1:9/a\.npz, .*: source=rendered"):
        DSprites(tmp_path, "archive").load()
    assert list((tmp_path / "dsprites").iterdir()) == []
