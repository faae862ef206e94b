"""What latents and samples say about the class, where the answer is known."""

import numpy as np
import pytest
import torch

from vaelab.load import load_run
from vaelab.reproduction.conditional import (
    classes_and_codes,
    linear_probe,
    sample_classes,
    train_classifier,
)
from vaelab.reproduction.runs import TargetRun
from vaelab.train import train


@pytest.fixture
def runs(compose, tiny, tmp_path):
    """A run with labels on little sprites of three shapes."""
    sprites = ("data=dsprites_small", "data.factor_sizes=[3,2,1,8,8]", "data.image_size=16")
    words = (*tiny, *sprites, f"data.root={tmp_path / 'data'}", "data.num_val=60")
    words += ("objective=vae", "condition=label")
    train(compose(*words), tmp_path / "run", list(words))
    return [TargetRun({"target": "s1a", "condition": "label"}, {"x": 1.0}, tmp_path / "run")]


def test_probe_finds_what_is_linear_and_no_more():
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=2000)
    centers = 10 * rng.standard_normal((4, 6))
    codes = centers[labels] + rng.standard_normal((2000, 6))
    assert linear_probe(codes, labels) > 0.99
    assert linear_probe(1e-6 * codes + 5, labels) > 0.99
    assert linear_probe(rng.standard_normal((2000, 6)), labels) == pytest.approx(0.25, abs=0.05)
    constant = np.concatenate([codes, np.ones((2000, 1))], 1)
    assert linear_probe(constant, labels) > 0.99


def test_every_number_is_a_share(runs):
    numbers = classes_and_codes(runs, ["condition"], 60, num_epochs=30, samples_per_class=5)
    names = {"probe at label", "classifier", "samples named right"}
    assert set(numbers) == {"x at label"} | names
    assert all(0 <= numbers[name].value <= 1 for name in names)
    assert numbers["classifier"].value > 0.5  # of three shapes


def test_samples_of_a_class_are_those_of_its_model(runs):
    run = load_run(runs[0].path)
    with torch.no_grad():  # a decoder that shows the class as the brightness of all pixels
        head = run.model.decoder.get_submodule("head")
        layer = run.model.decoder.get_submodule("layers.0")
        for parameter in (layer.weight, layer.bias, head.weight, head.bias):
            parameter.zero_()
        layer.weight[:, run.model.latent_dim :] = torch.tensor([0.0, 1.0, 2.0])
        head.weight.fill_(0.1)
    x, y = sample_classes(run, 4)
    assert y.bincount().tolist() == [4, 4, 4]
    brightness = x.flatten(1).mean(1)
    means = [brightness[y == c].mean().item() for c in range(3)]
    assert means == sorted(means)
    assert len(set(brightness.round(decimals=4).tolist())) == 3


def test_classifier_is_the_same_each_time(runs):
    run = load_run(runs[0].path)
    first, again = (train_classifier(run, 1).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
