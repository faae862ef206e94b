"""Every YAML in conf/ composes, builds, and says what its class takes."""

import functools
import inspect

import pytest
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf

from vaelab import build
from vaelab.cli.hydra_app import CONF
from vaelab.data import Images, Splits, Subset
from vaelab.data.factors import FactorSpace
from vaelab.runs.config import to_container
from vaelab.runs.folder import RunFolder

MANY = ("callbacks", "logger", "metrics")
OPTIONS = sorted(
    (str(path.relative_to(CONF).parent), path.stem)
    for path in CONF.rglob("*.yaml")
    if path.parent != CONF
)
# Options for a discrete z, which go together only.
DISCRETE = {
    "objective": ("em", "enumerated"),
    "posterior": ("categorical", "exact"),
    "prior": ("categorical",),
}
every_option = pytest.mark.parametrize(("group", "option"), OPTIONS, ids=map("/".join, OPTIONS))


@pytest.fixture(scope="session")
def chosen(compose):
    """group, option -> the config of a run that chose it."""

    @functools.cache
    def config(group, option):
        words = [f"{group}={f'[{option}]' if group in MANY else option}"]
        if "experiment" in group:
            words = [f"experiment={group.partition('/')[2]}/{option}"]
        if (group, option) in (("data", "array"), ("data", "image_folder")):
            words.append("data.root=mine")
        if (group, option) == ("data", "codes"):
            words += ["data.run=mine", "likelihood=gaussian_per_pixel"]
        if (group, option) == ("objective", "m2"):
            words += ["condition=label", "condition.classifier=true"]
        if option == "ddp":
            words.append("trainer.accelerator=cpu")
        if (group, option) == ("posterior", "delta"):
            words.append("objective=autoencoder")
        if (group, option) == ("prior", "conditional_normal"):
            words.append("condition=label")
        if option in DISCRETE.get(group, ()):
            posterior = "exact" if option == "em" else "categorical"
            together = {"objective": "enumerated", "posterior": posterior, "prior": "categorical"}
            words += [f"{g}={o}" for g, o in together.items() if g != group]
            words.append("model=linear")
        return compose(*words)

    return config


def targets(tree):
    """All nodes with a `_target_`."""
    if isinstance(tree, dict):
        if "_target_" in tree:
            yield tree
        for value in tree.values():
            yield from targets(value)


def texts(tree):
    """All strings in nested containers."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from texts(value)


@every_option
def test_option_builds(group, option, chosen, tmp_path):
    cfg = chosen(group, option)
    assert not OmegaConf.missing_keys(cfg)
    data = no_images(build.build_data(cfg))
    model = build.build_model(cfg, (1, 64, 64), data.classes.sizes if data.classes else ())
    build.build_training_module(cfg, model, build.build_objective(cfg, 100, 10), data)
    callbacks, loggers, _ = (build.build_all(cfg[many], RunFolder(tmp_path)) for many in MANY)
    assert set(build.build_metrics(cfg.metrics)) == set(cfg.metrics)
    if cfg.trainer.accelerator == "cpu":
        trainer = build.build_trainer(cfg, callbacks, loggers)
        assert trainer.max_steps == data.num_steps


def no_images(data):
    """The data module with black images in place of its files."""
    images = Images(torch.zeros(2, 4096, dtype=torch.uint8), (1, 64, 64))
    black = Subset(images, None, torch.tensor([0, 1]))
    data.dataset.load = lambda: Splits(black, black, None, FactorSpace(("shape",), (2,)), "")
    return data


@every_option
def test_yaml_keys_are_the_arguments_of_its_class(group, option, chosen):
    for node in targets(to_container(chosen(group, option))):
        name, keys = node["_target_"], {key for key in node if not key.startswith("_")}
        parameters = inspect.signature(get_object(name)).parameters
        assert keys <= set(parameters), name
        if (
            name.startswith(("vaelab.data.", "vaelab.codes.", "vaelab.metrics."))
            and "experiment" not in group
        ):
            assert set(parameters) == keys, "the YAML shows every argument"


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: path.stem)
def test_no_path_of_this_machine(path):
    values = texts(OmegaConf.to_container(OmegaConf.load(path), resolve=False))
    assert [text for text in values if text.startswith(("/", "~"))] == []


@pytest.mark.parametrize("group", MANY)
def test_groups_of_many_can_be_empty(group, compose, tmp_path):
    assert build.build_all(compose(f"{group}=[]")[group], RunFolder(tmp_path)) == []
