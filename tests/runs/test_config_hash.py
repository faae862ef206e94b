"""Which settings make another run."""

import copy

import pytest

from vaelab.runs.config import to_container
from vaelab.runs.config_hash import canonical, config_hash, differences


@pytest.fixture(scope="module")
def config(compose):
    """Words -> the resolved config."""
    return lambda *words: to_container(compose(*words))


@pytest.mark.parametrize(
    "words",
    [
        ["objective.beta=5"],
        ["seed=1"],
        ["latent_dim=3"],
        ["data=mnist"],
        ["num_steps=10"],
        ["model.channels=[8]", "model=conv"],
        ["trainer.precision=bf16-mixed"],
        ["callbacks=[checkpoints,ema]"],
        ["metrics=[mig]"],
        ["data=array", "data.root=a.npy"],
    ],
    ids=" ".join,
)
def test_what_changes_numbers_changes_the_id(config, words):
    assert config_hash(config(*words)) != config_hash(config())


@pytest.mark.parametrize(
    "word",
    [
        *("name=other", "num_threads=1", "data_root=/elsewhere", "output_root=there"),
        *("trainer.enable_progress_bar=false", "metrics@evaluation=[mig]"),
        "callbacks=[checkpoints,figures]",
    ],
)
def test_where_and_how_it_runs_does_not(config, word):
    assert config_hash(config(word)) == config_hash(config())


def test_numbers_are_written_in_one_way(config):
    assert config_hash(config("objective.beta=4", "optimizer.lr=1e-3")) == config_hash(
        config("objective.beta=4.0", "optimizer.lr=0.001")
    )


def test_true_is_not_one(config):
    one, other = config(), config()
    one["flag"], other["flag"] = True, 1
    assert config_hash(one) != config_hash(other)


def test_files_of_arrays_are_told_apart(config):
    one, other = (config("data=array", f"data.root={file}") for file in ("a.npy", "b.npy"))
    assert config_hash(one) != config_hash(other)
    assert differences(one, other) == {"data.root": ("a.npy", "b.npy")}


def test_order_of_keys_does_not_count(config):
    one = config()
    turned = dict(reversed(copy.deepcopy(one).items()))
    turned["objective"] = dict(reversed(turned["objective"].items()))
    assert config_hash(turned) == config_hash(one)


def test_id_stays_the_same_from_version_to_version():
    """Changing how ids are made would train every finished sweep again."""
    config = {"b": {"y": 2.0, "x": [1, 2.5]}, "a": None, "name": "n", "trainer": {"devices": 1}}
    assert canonical(config) == {"a": None, "b.x": [1, 2.5], "b.y": 2, "trainer.devices": 1}
    assert config_hash(config) == "7694f3815e"
