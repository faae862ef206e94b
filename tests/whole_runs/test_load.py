"""A run from Python: arrays in, arrays out, the same for the same seed."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import vaelab
from vaelab.errors import UserError
from vaelab.metrics.importance_weighted import importance_log_weights
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


@pytest.fixture
def of_labels(run, tiny, tmp_path):
    """Overrides -> a loaded run of a conditional model of images in folders named a, b and c."""
    rng = np.random.default_rng(0)
    for shade, name in enumerate("abc"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(80 * shade, 80 * shade + 60, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")

    def new(*overrides):
        rest = [word for word in tiny if not word.startswith("data")]
        data = [f"data.root={tmp_path / 'images'}"]
        words = ("data_root=unused", "data=image_folder", *data, "condition=label", *overrides)
        return vaelab.load_run(run(*rest, *words, name="of_labels").path)

    return new


def test_a_conditional_model_is_given_classes(of_labels):
    loaded = of_labels()
    subset = loaded.data.splits.val
    x, y = subset.take(torch.arange(4)), subset.labels[:4]
    with torch.no_grad():
        q_z = loaded.model.given(y).encode(x)
        x_hat = loaded.model.given(y).reconstruct(x).numpy()
        at_b = loaded.model.given(torch.tensor([1])).decode(q_z.mean).mean.numpy()
    np.testing.assert_allclose(loaded.encode(x, y).mean, q_z.mean, atol=1e-6)
    np.testing.assert_allclose(loaded.encode(x, y).std, q_z.stddev, atol=1e-6)
    np.testing.assert_allclose(loaded.reconstruct(x, y.tolist()), x_hat, atol=1e-6)
    for name in ("b", 1, {"label": 1}, [1, 1, 1, 1]):
        np.testing.assert_allclose(loaded.decode(q_z.mean, name), at_b, atol=1e-6)
    moved = loaded.traverse(x[0], [float(q_z.mean[0, 1])], [1], y=int(y[0]))
    np.testing.assert_allclose(moved[0, 0], x_hat[0], atol=1e-6)
    with pytest.raises(UserError, match=r"^y expects the class \(label\) of each .* got none"):
        loaded.encode(x)
    with pytest.raises(UserError, match="one of a, b, c, got 'd'"):
        loaded.decode(q_z.mean, "d")
    with pytest.raises(UserError, match=r"one per image \(4\), got shape \(3,\)"):
        loaded.reconstruct(x, [0, 1, 2])


def test_many_images_keep_their_classes(of_labels, monkeypatch):
    """Each batch has those of its images."""
    loaded = of_labels()
    z, y = np.random.default_rng(0).normal(size=(7, 3)), [0, 1, 2, 0, 1, 2, 2]
    whole = loaded.decode(z, y)
    monkeypatch.setattr("vaelab.loaded_run.BATCH_SIZE", 3)
    np.testing.assert_allclose(loaded.decode(z, y), whole, atol=1e-6)


def test_samples_of_classes(of_labels):
    loaded = of_labels("prior=conditional_normal", "optimizer.lr=0.1")
    first = loaded.sample(30, seed=1)
    np.testing.assert_array_equal(first, loaded.sample(30, seed=1))
    of_class = np.stack([loaded.sample(30, seed=1, y=y) for y in range(3)])
    # The same noise for every class: each sample is that of one of them.
    distance = np.abs(of_class - first).max((2, 3, 4))
    np.testing.assert_allclose(distance.min(0), 0, atol=1e-6)
    y = distance.argmin(0)
    assert set(y) == {0, 1, 2}
    with torch.no_grad():
        loaded.model.condition.log_prior.copy_(torch.tensor([0.0, -100, -100]))
    np.testing.assert_allclose(loaded.sample(30, seed=1), of_class[0], atol=1e-6)


def test_a_run_that_needs_no_class_somewhere(of_labels):
    loaded = of_labels("condition.encoder=false")
    x = loaded.data.splits.val.take(torch.arange(2)).numpy()
    code = loaded.encode(x)
    np.testing.assert_allclose(code.mean, loaded.encode(x, 2).mean, atol=1e-6)
    with pytest.raises(UserError, match=r"^y expects the class"):
        loaded.decode(code.mean)


def test_classes_of_factors_are_given_by_their_values(run, tiny, tmp_path):
    rest = [word for word in tiny if not word.startswith("data")]
    data = (f"data.root={tmp_path}", "data.image_size=16", "data.num_val=40")
    words = ("data=dsprites", *data, "data.factor_sizes=[3,2,4,4,4]", "condition=factors")
    folder = run(*rest, *words, "condition.factors=[scale,posX]")
    loaded = vaelab.load_run(folder.path)
    z = np.ones((2, 3))
    expected = loaded.decode(z, 1 * 4 + 3)
    np.testing.assert_array_equal(loaded.decode(z, {"posX": 3, "scale": 1}), expected)
    assert not np.array_equal(loaded.decode(z, {"posX": 3, "scale": 0}), expected)
    with pytest.raises(UserError, match=r"^y expects the class \(scale, posX\) of each"):
        loaded.decode(z)


def test_classes_of_a_model_without_any_are_rejected(loaded):
    x = loaded.data.splits.val.take(torch.arange(2)).numpy()
    with pytest.raises(UserError, match=r"^y expects a conditional model, .*; leave it out\.$"):
        loaded.encode(x, 1)
    with pytest.raises(UserError, match=r"^classify expects a conditional model"):
        loaded.classify(x)


def test_classify_by_bayes_rule(of_labels):
    """softmax of log p(y) + L_K(x|y), the bounds one image and one class at a time."""
    loaded = of_labels()
    loaded.model.condition.log_prior.copy_(torch.tensor([0.7, 0.2, 0.1]).log())
    x = loaded.data.splits.val.take(torch.arange(3))
    found = loaded.classify(x, num_samples=20)
    assert found.shape == (3, 3)
    np.testing.assert_allclose(found.sum(1), 1)
    for i in range(3):
        logits = []
        for y in range(3):
            view = loaded.model.given(torch.tensor([y]))
            weights = importance_log_weights(view, x[i : i + 1], 20, 0, i)
            prior = loaded.model.condition.log_prior[y].double()
            logits.append(weights.exp().mean().log() + prior)
        np.testing.assert_allclose(found[i], torch.stack(logits).softmax(0), rtol=1e-6)


def test_classify_by_the_classifier(of_labels):
    loaded = of_labels()
    loaded.model.classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    x = loaded.data.splits.val.take(torch.arange(3))
    expected = loaded.model.classifier(x).softmax(-1).detach()
    np.testing.assert_allclose(loaded.classify(x), expected, atol=1e-6)
