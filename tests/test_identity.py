"""Which settings make another run."""

import copy

import pytest

from vaelab.config import plain
from vaelab.identity import canonical, differences, job_id


@pytest.fixture(scope="module")
def config(compose):
    """Words -> the resolved config."""
    return lambda *words: plain(compose(*words))


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
    assert job_id(config(*words)) != job_id(config())


@pytest.mark.parametrize(
    "word",
    [
        *("name=other", "num_threads=1", "data_root=/elsewhere", "output_root=there"),
        *("trainer.enable_progress_bar=false", "metrics@evaluation=[mig]"),
        "callbacks=[checkpoints,figures]",
    ],
)
def test_where_and_how_it_runs_does_not(config, word):
    assert job_id(config(word)) == job_id(config())


def test_numbers_are_written_in_one_way(config):
    assert job_id(config("objective.beta=4", "optimizer.lr=1e-3")) == job_id(
        config("objective.beta=4.0", "optimizer.lr=0.001")
    )


def test_true_is_not_one(config):
    one, other = config(), config()
    one["flag"], other["flag"] = True, 1
    assert job_id(one) != job_id(other)


def test_files_of_arrays_are_told_apart(config):
    one, other = (config("data=array", f"data.root={file}") for file in ("a.npy", "b.npy"))
    assert job_id(one) != job_id(other)
    assert differences(one, other) == {"data.root": ("a.npy", "b.npy")}


def test_order_of_keys_does_not_count(config):
    one = config()
    turned = dict(reversed(copy.deepcopy(one).items()))
    turned["objective"] = dict(reversed(turned["objective"].items()))
    assert job_id(turned) == job_id(one)


def test_id_stays_the_same_from_version_to_version():
    """Changing how ids are made would train every finished sweep again."""
    config = {"b": {"y": 2.0, "x": [1, 2.5]}, "a": None, "name": "n", "trainer": {"devices": 1}}
    assert canonical(config) == {"a": None, "b.x": [1, 2.5], "b.y": 2, "trainer.devices": 1}
    assert job_id(config) == "7694f3815e"
