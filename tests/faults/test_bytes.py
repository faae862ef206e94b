"""A checkpoint with a changed byte is rejected, or loads exactly what was saved."""

import shutil

import numpy as np
import pytest
import torch

from vaelab.errors import UserError
from vaelab.runs.checkpoint import content_digest, load_checkpoint, save_checkpoint
from vaelab.runs.folder import RunFolder

NUM_POSITIONS = 200


@pytest.fixture(scope="module")
def trained(run_tiny, tmp_path_factory):
    return run_tiny(tmp_path_factory.mktemp("bytes") / "run")


def test_every_changed_byte_is_rejected_or_harmless(trained, tmp_path):
    """200 random places, and the first and last 50 bytes, which hold the file's own structure."""
    whole = trained.last_checkpoint.read_bytes()
    expected = content_digest(load_checkpoint(trained.last_checkpoint))
    rng = np.random.default_rng(0)
    places = rng.integers(len(whole), size=NUM_POSITIONS).tolist()
    places += [*range(50), *range(len(whole) - 50, len(whole))]
    file, rejected, harmless = tmp_path / "changed.ckpt", 0, 0
    for place in places:
        content = bytearray(whole)
        content[place] ^= int(rng.integers(1, 256))
        file.write_bytes(content)
        try:
            loaded = load_checkpoint(file)
        except UserError as error:
            rejected += "weights_only" not in str(error)
        else:
            harmless += content_digest(loaded) == expected
    assert rejected + harmless == len(places)
    assert rejected > NUM_POSITIONS / 2


def test_every_shortened_file_is_rejected(trained, tmp_path):
    whole = trained.last_checkpoint.read_bytes()
    for length in np.linspace(0, len(whole) - 1, 20).astype(int):
        (tmp_path / "cut.ckpt").write_bytes(whole[:length])
        with pytest.raises(UserError, match="damaged"):
            load_checkpoint(tmp_path / "cut.ckpt")


def test_lightning_reads_through_the_same_check(trained, tmp_path, resume_tiny):
    """The bytes of a weight, which torch's own reader takes without a word."""
    folder = RunFolder(shutil.copytree(trained.path, tmp_path / "run"))
    content = torch.load(folder.last_checkpoint, weights_only=True)
    weight = next(v for k, v in content["state_dict"].items() if k.endswith("weight"))
    weight.view(-1)[3] += 1
    torch.save(content, folder.last_checkpoint)
    with pytest.raises(UserError, match=r"does not match its digest; .*previous\.ckpt"):
        resume_tiny(folder)


def test_resumes_from_the_checkpoint_before_when_the_last_is_moved_away(
    trained, tmp_path, resume_tiny
):
    folder = RunFolder(shutil.copytree(trained.path, tmp_path / "run"))
    metrics = folder.curves.read_text()
    before = load_checkpoint(folder.last_checkpoint)["state_dict"]
    folder.last_checkpoint.rename(tmp_path / "damaged.ckpt")
    assert 0 < folder.last_step < 12
    resume_tiny(folder)
    after = load_checkpoint(folder.last_checkpoint)["state_dict"]
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert folder.curves.read_text() == metrics


def test_a_checkpoint_of_another_run_is_rejected(trained, tmp_path, run_tiny, resume_tiny):
    other = run_tiny(tmp_path / "other", "seed=1")
    folder = RunFolder(shutil.copytree(trained.path, tmp_path / "run"))
    shutil.copy(other.last_checkpoint, folder.last_checkpoint)
    with pytest.raises(UserError, match="seed: 1 -> 0"):
        resume_tiny(folder)


def test_a_config_changed_by_hand_is_rejected(trained, tmp_path, resume_tiny):
    folder = RunFolder(shutil.copytree(trained.path, tmp_path / "run"))
    folder.config.write_text(folder.config.read_text().replace("latent_dim: 3", "latent_dim: 5"))
    with pytest.raises(UserError, match="latent_dim"):
        resume_tiny(folder)


@pytest.mark.parametrize(
    "content",
    [
        {"a": torch.arange(6.0).view(2, 3).T},
        {"a": (1, [2.5, None, "x"]), 3: {"b": torch.zeros(0)}},
        {"a": torch.tensor(True), "b": torch.tensor(2)},
    ],
)
def test_content_survives_saving_and_its_digest_tells_it_from_others(content, tmp_path):
    content |= {"state_dict": {}, "config": {}, "global_step": 1}
    save_checkpoint(content, tmp_path / "checkpoints" / "a.ckpt")
    loaded = load_checkpoint(tmp_path / "checkpoints" / "a.ckpt")
    del loaded["digest"]
    assert content_digest(loaded) == content_digest(content)
    assert content_digest(loaded | {"global_step": 2}) != content_digest(content)
