"""A default that stands in a YAML and in a signature is the same in both."""

import inspect
from collections import defaultdict

import pytest
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from vaelab.cli.hydra_app import CONF

# An experiment sets what it needs, which is no default; train.yaml and evaluate.yaml name no class.
PATHS = [
    path
    for path in sorted(CONF.rglob("*.yaml"))
    if path.parent != CONF and path.relative_to(CONF).parts[0] != "experiment"
]


def targets(node):
    """All nodes with a `_target_` of vaelab: classes of torch or Lightning have other defaults."""
    if isinstance(node, DictConfig):
        if str(node.get("_target_", "")).startswith("vaelab."):
            yield node
        for key in node:
            if not OmegaConf.is_missing(node, key) and not OmegaConf.is_interpolation(node, key):
                yield from targets(node[key])


def settings(node):
    """The settings of a node by name, except those that another part of the config decides."""
    for name in node:
        try:
            if not OmegaConf.is_missing(node, name):
                yield name, plain(node[name])
        except InterpolationResolutionError:
            pass


def plain(value):
    """Containers as lists and dicts; an empty dict as None, since a default is not mutable."""
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value)
    return list(value) if isinstance(value, tuple) else None if value == {} else value


def compare_defaults():
    """target -> option -> argument -> (default in the YAML, default in the signature)."""
    compared = defaultdict(dict)
    for path in PATHS:
        option = path.relative_to(CONF).with_suffix("")
        # In its group, so that ${model.hidden} is found.
        for node in targets(OmegaConf.create({option.parts[0]: OmegaConf.load(path)})):
            parameters = inspect.signature(get_object(node._target_)).parameters
            in_both = {
                name: (value, plain(parameters[name].default))
                for name, value in settings(node)
                if name in parameters and parameters[name].default is not inspect.Parameter.empty
            }
            if in_both:
                compared[node._target_][str(option)] = in_both
    return compared


COMPARED = compare_defaults()


@pytest.mark.parametrize("target", COMPARED)
def test_signature_has_the_defaults_of_the_yaml(target):
    """Of one of the YAMLs where several share a class, as published networks do."""
    differences = [
        {name: both for name, both in in_both.items() if both[0] != both[1]}
        for in_both in COMPARED[target].values()
    ]
    assert {} in differences, dict(zip(COMPARED[target], differences, strict=True))


def test_defaults_of_every_kind_are_compared():
    assert COMPARED["vaelab.kl_penalties.Geco"]["kl_penalty/geco"]["rate"] == (1e-3, 1e-3)
    assert COMPARED["vaelab.models.MLPEncoder"]["model/mlp"]["hidden"] == ([400], [400])
    assert {target.split(".")[1] for target in COMPARED} >= {
        *("data", "kl_penalties", "likelihoods", "metrics", "models", "objectives"),
        *("posteriors", "priors", "sweep", "training"),
    }
