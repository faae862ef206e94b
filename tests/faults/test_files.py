"""Files that were damaged, or come from strangers, are rejected in one sentence."""

import contextlib
import json
import shutil
import zipfile

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir

from vaelab.cli.hydra_app import CONF
from vaelab.data.array import Array
from vaelab.errors import UserError
from vaelab.load import load_run
from vaelab.runs.checkpoint import load_checkpoint, save_checkpoint
from vaelab.runs.folder import RunFolder
from vaelab.runs.resume import resumed_config
from vaelab.runs.status import State

DAMAGED = [b"", b"{", b"[1, 2]", b"3", b"\xff\xfe\x00\x01", b'{"state": 7}', b"a: [", b"- 1\n- 2\n"]


@pytest.fixture(scope="module")
def trained(run_tiny, tmp_path_factory):
    return run_tiny(tmp_path_factory.mktemp("files") / "run")


@pytest.fixture
def folder(trained, tmp_path):
    return RunFolder(shutil.copytree(trained.path, tmp_path / "run"))


READERS = (
    lambda folder: folder.status(),
    lambda folder: folder.read_metrics(),
    lambda folder: folder.read_curves(),
    lambda folder: folder.read_job(),
    lambda folder: resumed_config(str(folder.path), [f"resume={folder.path}", "seed=0"]),
    lambda folder: load_run(folder.path),
)


@pytest.mark.parametrize("content", DAMAGED, ids=repr)
@pytest.mark.parametrize(
    "name",
    ["status.json", "metrics.json", "provenance.json", "config.yaml", "metrics.csv", "job.json"],
)
def test_a_damaged_file_of_a_run_is_a_sentence_or_harmless(compose, folder, name, content):
    compose()
    (folder.path / name).write_bytes(content)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for read in READERS:
            with contextlib.suppress(UserError):  # and nothing else
                read(folder)


@pytest.mark.parametrize(
    "facts",
    [
        {"pid": "text"}, {"pid": 10**30}, {"pid": None}, {"time": 7, "host": "elsewhere"},
        {"time": "yesterday", "host": "elsewhere"}, {"process_start": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_status_with_nonsense_is_that_of_a_dead_run(folder, facts):
    known = json.loads(folder.status_file.read_text())
    folder.status_file.write_text(json.dumps(known | {"state": "running"} | facts))
    assert folder.state() in (State.KILLED, State.RUNNING)


def test_a_damaged_provenance_does_not_end_a_resumed_run(folder, resume_tiny):
    folder.provenance.write_text("[{")
    resume_tiny(folder)
    assert folder.state() == State.FINISHED
    assert (folder.path / "provenance.damaged").read_text() == "[{"


def test_weights_of_another_shape_are_a_sentence(folder):
    content = load_checkpoint(folder.last_checkpoint)
    name = next(k for k, v in content["state_dict"].items() if v.ndim == 2)
    del content["digest"]
    content["state_dict"][name] = torch.zeros(2, 2)
    save_checkpoint(content, folder.path / "checkpoints" / "best.ckpt")
    with pytest.raises(UserError, match="expects the weights of its config"):
        load_run(folder.path, "best")


def test_an_archive_that_declares_more_than_the_memory_is_not_unpacked(tmp_path):
    """Its header says so; the bytes themselves are few."""
    file = tmp_path / "bomb.npz"
    np.savez_compressed(file, images=np.zeros((4, 8, 8), np.uint8))
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        size = archive.infolist()[0].file_size.to_bytes(4, "little")
    place = content.rfind(size, 0, content.rfind(b"PK\x05\x06"))
    content[place : place + 4] = (2**32 - 2).to_bytes(4, "little")
    file.write_bytes(content)
    with pytest.raises(UserError, match="expects"):
        Array(file).load()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 8, 8), np.uint8), np.zeros((4, 0, 8), np.uint8), np.zeros((4,), np.uint8),
        np.zeros((4, 8, 8), complex), np.zeros((4, 8, 8), object), np.full((4, 8, 8), np.nan),
        np.zeros((4, 5, 8, 8), np.uint8), np.zeros((20, 0, 0), bool),
    ],
    ids=lambda array: f"{array.shape}-{array.dtype}",
)  # fmt: skip
def test_arrays_that_are_no_images_are_a_sentence(tmp_path, array):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(UserError, match="expects"):
        Array(tmp_path / "a.npy").load()


def test_damaged_archives_are_a_sentence(tmp_path):
    np.savez_compressed(
        tmp_path / "a.npz", images=np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8)
    )
    whole = (tmp_path / "a.npz").read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(len(whole), size=60):
        content = bytearray(whole)
        content[place] ^= 255
        (tmp_path / "b.npz").write_bytes(content)
        with contextlib.suppress(UserError):  # and nothing else
            Array(tmp_path / "b.npz").load()
