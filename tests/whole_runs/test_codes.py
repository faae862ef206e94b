"""The codes of a run as data of another, and M1+M2 on them."""

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir

from vaelab.cli.hydra_app import CONF, register_resolvers
from vaelab.codes import Codes
from vaelab.data import Condition, Labels
from vaelab.data.datamodule import ImageDataModule
from vaelab.errors import UserError
from vaelab.load import load_run
from vaelab.reproduction import semi_supervised
from vaelab.reproduction.semi_supervised import m1_m2
from vaelab.runs.folder import RunFolder
from vaelab.train import train

SMALL = (
    *("model=mlp", "model.hidden=[16]", "num_threads=1", "batch_size=20", "eval_batch_size=20"),
    *("callbacks=[checkpoints]", "logger=[csv]", "trainer.enable_progress_bar=false"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Images of three brightnesses, and which it is."""
    folder = tmp_path_factory.mktemp("images")
    y = np.arange(120) % 3
    noise = np.random.default_rng(0).random((120, 8, 8))
    np.save(folder / "images.npy", (255 * (0.2 * noise + 0.4 * y[:, None, None])).astype(np.uint8))
    np.save(folder / "labels.npy", y)
    return "data=array", f"data.root={folder}/images.npy", f"data.labels={folder}/labels.npy"


@pytest.fixture(scope="module")
def m1(compose, files, tmp_path_factory):
    path = tmp_path_factory.mktemp("m1") / "run"
    words = [*SMALL, *files, "latent_dim=4", "objective=vae", "num_steps=200", "optimizer.lr=1e-2"]
    train(compose(*words), path, words)
    return path


def m2(m1, *words):
    return [
        *SMALL,
        *("data=codes", f"data.run={m1}", "latent_dim=2", "likelihood=gaussian_per_pixel"),
        *("condition=label", "condition.classifier=true", "objective=m2"),
        *("labels.num=6", "labels.per_batch=3", "optimizer.lr=1e-2", *words),
    ]


def test_codes_are_the_posteriors_of_the_images(m1):
    run, splits = load_run(m1), Codes(m1, min_std=0).load()
    images = run.data.splits.test
    q_z = run.model.encode(images.take(torch.arange(len(images))))
    rows = torch.arange(len(splits.test))
    torch.testing.assert_close(splits.test.take(rows).flatten(1), q_z.mean)
    torch.testing.assert_close(splits.test.take_deviations(rows).flatten(1), q_z.stddev)
    assert torch.equal(splits.test.labels, images.labels)
    assert len(splits.train) == len(run.data.splits.train)


def test_unused_latents_are_left_out(m1):
    everything, some = Codes(m1, min_std=0).load(), Codes(m1, min_std=0.1).load()
    std = everything.train.take(torch.arange(len(everything.train))).flatten(1).std(0)
    assert some.image_shape == (1, 1, int((std > 0.1).sum()))
    with pytest.raises(UserError, match="min_std expects latents whose means vary by more"):
        Codes(m1, min_std=100).load()


def test_batches_are_drawn_anew_and_a_function_of_seed_and_step(m1):
    def batch(seed, step):
        return ImageDataModule(Codes(m1), batch_size=30, seed=seed, num_steps=9).train_batch(step)

    data = ImageDataModule(Codes(m1), batch_size=96, num_steps=9)
    first, again = data.train_batch(0), batch(0, 3)
    assert torch.equal(again, batch(0, 3))
    assert not torch.equal(again, batch(1, 3))
    order = data.sampler(0)
    mean, std = data.splits.train.take(order), data.splits.train.take_deviations(order)
    noise = ((first - mean) / std).flatten()
    assert abs(float(noise.mean())) < 4 / len(noise) ** 0.5
    assert abs(float(noise.std()) - 1) < 4 / (2 * len(noise)) ** 0.5
    assert torch.equal(data.splits.val.take(torch.arange(3)), data.splits.val.take(torch.arange(3)))


def test_a_batch_has_as_many_labels_as_asked_for(m1):
    data = ImageDataModule(
        Codes(m1),
        batch_size=20,
        num_steps=9,
        condition=Condition(classifier=True),
        labels=Labels(num=6, seed=1, per_batch=4),
        semi_supervised=True,
    )
    chosen = set()
    for step in range(6):
        y, positions = data.train_classes(step), data.sampler(step)
        assert (y[:4] >= 0).all()
        assert (y[4:] == -1).all()
        assert torch.equal(y[:4], data.splits.train.labels[positions[:4]])
        chosen |= set(positions[:4].tolist())
    assert chosen == set(data.splits.labelled.tolist())
    assert data.splits.train.labels[data.splits.labelled].bincount().tolist() == [2, 2, 2]
    assert torch.equal(data.sampler(2), data.sampler(2))


def test_m2_learns_the_classes_and_resumes_bit_for_bit(compose, m1, tmp_path):
    words = m2(m1, "num_steps=400", "val_every_n_steps=200")
    metrics = train(compose(*words), tmp_path / "whole", words)
    assert metrics["test/error"] <= 0.1  # six labels; .67 by guessing
    assert metrics["test/label_log_prob"] > -0.5
    half = m2(m1, "num_steps=400", "val_every_n_steps=200", "trainer.max_steps=200")
    train(compose(*half), tmp_path / "part", half)
    config = compose(*words)
    config.resume = str(tmp_path / "part")
    train(config, tmp_path / "part", words)
    whole, part = (load_run(tmp_path / name) for name in ("whole", "part"))
    assert whole.weights_digest == part.weights_digest
    assert RunFolder(tmp_path / "part").read_metrics()["test/error"] == metrics["test/error"]
    x = whole.data.splits.test.take(torch.arange(5)).numpy()
    p = whole.classify(x)
    assert p.shape == (5, 3)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)


def test_measure_of_m1_m2_trains_a_run_per_choice_of_labels_and_keeps_it(m1, monkeypatch):
    """Target S3a, small; its runs are stored below that of M1."""
    words = [
        one for one in m2(m1, "num_steps=100") if not one.startswith(("data.run", "labels.num"))
    ]
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        numbers = m1_m2(m1, [6], [0, 1], words)
        monkeypatch.setattr(semi_supervised, "train", None)  # a run that is trained again fails
        again = m1_m2(m1, [6], [0, 1], words)
    assert again == numbers
    assert sorted(path.name for path in (m1 / "m2").iterdir()) == [
        "labels_6_seed_0",
        "labels_6_seed_1",
    ]
    assert list(numbers) == ["m1_m2/6", "logistic/6"]
    for one in numbers.values():
        assert one.num_runs == 2
        assert 0 <= one.value < 0.6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.run=null"], "data.run expects the folder of a finished run, got none"),
        (["data.min_std=-1"], "data.min_std expects a number of at least 0, got -1"),
        (["labels.num=2"], r"num expects .*at least 3"),
        (["labels.num=200"], "num expects at most"),
        (["labels.per_batch=20"], r"per_batch expects .*below 20"),
        (["pixels=dynamic"], "pixels expects greyscale for codes"),
        (["condition.classifier=false"], "M2 expects a model with a classifier"),
        (["prior=vamp"], "Vamp expects a posterior q"),
    ],
)
def test_rejects(compose, m1, tmp_path, words, message):
    words = m2(m1, "num_steps=4", *words)
    with pytest.raises(UserError, match=message):
        train(compose(*words), tmp_path / "run", words)
