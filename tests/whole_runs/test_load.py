"""A run from Python: arrays in, arrays out, the same for the same seed."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import vaelab
from vaelab.errors import UserError
from vaelab.runs.status import State


@pytest.fixture
def loaded(run):
    return vaelab.load_run(run(name="loaded").path)


def test_arrays_have_the_shapes_that_are_promised(loaded):
    x = loaded.data.splits.val.take(torch.arange(5)).numpy()
    code = loaded.encode(x)
    assert code.mean.shape == code.std.shape == (5, 3)
    assert (code.std > 0).all()
    assert loaded.decode(code.mean).shape == x.shape
    assert loaded.sample(4).shape == (4, 1, 8, 8)
    assert loaded.traverse(x[0], values=[-1, 0, 1], latents=[2, 0]).shape == (2, 3, 1, 8, 8)
    np.testing.assert_array_equal(loaded.reconstruct(x), loaded.decode(code.mean))


def test_traversal_through_the_posterior_mean_is_the_reconstruction(loaded):
    x = loaded.data.splits.val.take(torch.arange(1)).numpy()
    mean = loaded.encode(x).mean[0]
    moved = loaded.traverse(x[0], values=[float(mean[1])], latents=[1])
    np.testing.assert_allclose(moved[0, 0], loaded.reconstruct(x)[0], atol=1e-6)


def test_samples_are_a_function_of_the_seed(loaded):
    torch.manual_seed(1)
    first = loaded.sample(3, seed=5)
    torch.randn(7)
    np.testing.assert_array_equal(first, loaded.sample(3, seed=5))
    assert not np.array_equal(first, loaded.sample(3, seed=6))


def test_loaded_weights_are_those_of_the_checkpoint(loaded):
    content = torch.load(loaded.folder.last_checkpoint, weights_only=True)
    for name, value in loaded.model.state_dict().items():
        torch.testing.assert_close(value, content["state_dict"][f"model.{name}"], rtol=0, atol=0)
    assert loaded.step == 12
    assert loaded.metrics["num_steps"] == 12


def test_a_loaded_sigma_is_the_trained_one_and_not_that_of_the_data(run):
    trained = run("likelihood=gaussian_learned", "likelihood.lr=0.1", "trainer.log_every_n_steps=1")
    sigma = vaelab.load_run(trained.path).model.likelihood.state()["sigma"].item()
    assert sigma != pytest.approx(trained.read_curve("train/sigma")[1], rel=0.1)  # at the start
    state = torch.load(trained.last_checkpoint, weights_only=True)["state_dict"]
    assert sigma == state["model.likelihood.log_sigma"].exp().item()


def test_wrong_shapes_and_folders_are_rejected(loaded, tmp_path):
    with pytest.raises(UserError, match=r"expects images of shape \(N, 1, 8, 8\)"):
        loaded.encode(np.zeros((2, 1, 9, 9)))
    with pytest.raises(UserError, match=r"latents of shape \(N, 3\)"):
        loaded.decode(np.zeros((2, 4)))
    with pytest.raises(UserError, match="expected a run folder"):
        vaelab.load_run(tmp_path)
    with pytest.raises(UserError, match="there is last and best"):
        vaelab.load_run(loaded.folder.path, checkpoint="newest")


def test_a_damaged_checkpoint_is_named(loaded):
    file = loaded.folder.last_checkpoint
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"expected a whole checkpoint, got .*last\.ckpt"):
        vaelab.load_run(loaded.folder.path)


def test_repr_says_what_the_run_is(loaded):
    path = loaded.folder.path
    assert repr(loaded) == f"<Run {path}: BetaVAE on Array, last.ckpt at step 12>"


def test_finished_runs_of_a_folder_are_loaded_in_order(run, tmp_path):
    folders = [run(f"seed={seed}", name=f"sweep/{seed}") for seed in (2, 10, 0)]
    folders[0].set_status(State.FAILED, error="none")
    runs = vaelab.load_runs(tmp_path / "sweep")
    assert [one.folder.path.name for one in runs] == ["0", "10"]
    assert [one.config.seed for one in runs] == [0, 10]
    folders[1].set_status(State.FAILED)
    folders[2].set_status(State.FAILED)
    with pytest.raises(UserError, match="got 3 of which none has finished"):
        vaelab.load_runs(tmp_path / "sweep")


def test_data_that_has_moved(loaded, tmp_path):
    """The config stays that of training."""
    moved = shutil.copy(loaded.config.data.root, tmp_path / "moved.npy")
    again = vaelab.load_run(loaded.folder.path, data_root=str(moved))
    assert again.config == loaded.config
    assert again.data.splits.checksum == loaded.data.splits.checksum
    moved.unlink()
    with pytest.raises(UserError, match=r"moved\.npy"):
        _ = vaelab.load_run(loaded.folder.path, data_root=str(moved)).data.splits


def test_submodules_are_attributes_and_are_imported_late():
    code = (
        "import sys, vaelab; assert 'torch' not in sys.modules; vaelab.metrics.mig; "
        "assert 'metrics' in dir(vaelab); assert not hasattr(vaelab, 'metric')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
