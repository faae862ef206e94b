"""Comparing configs: which settings make another run, another number, or another group of seeds."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

# Settings ignored by comparisons, by dotted name; a name covers everything below it.
# Where a run is stored, how it is evaluated, and the resources it uses: the same run without them.
NOT_HASHED = (
    *("name", "resume", "output_root", "data_root", "num_threads", "target", "evaluation"),
    *("trainer.enable_progress_bar", "callbacks.progress", "callbacks.pruning"),
    "trainer.max_time",
)
# What is saved, drawn and logged: a different run whose numbers are the same.
NO_EFFECT_ON_NUMBERS = (
    *("callbacks.checkpoints", "callbacks.figures", "callbacks.progress", "callbacks.pruning"),
    *("logger", "hydra"),
)
# Hardware and arithmetic: numbers that agree up to rounding.
HARDWARE = (
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
    *("trainer.precision", "compile", "channels_last", "float32_matmul"),
)
GROWING = ("num_steps", "trainer.max_steps")  # what a resumed run may increase
SEED = ("seed",)  # runs that differ in nothing else learn from the same labels
# Runs that differ in nothing else are repetitions of one setting; labels.seed chooses which images
# are labelled.
SEEDS = (*SEED, "labels.seed")
DIGITS = 10


def canonical(config: Mapping[str, Any], ignore: Iterable[str] = NOT_HASHED) -> dict[str, Any]:
    """The settings of a config under dotted names, sorted, except those in `ignore`.

    Numbers are normalised, so that beta=1 and beta=1.0 are equal. `data.root` is left out where it
    equals `data_root`, and kept where it names the images themselves.

    Args:
        config: resolved, as plain containers.
        ignore: dotted names; each covers the settings below it.
    """
    flat = dict(_leaves(config))
    if flat.get("data.root") == flat.get("data_root"):
        flat.pop("data.root", None)
    return without(dict(sorted(flat.items())), ignore)


def without(settings: Mapping[str, Any], ignore: Iterable[str]) -> dict[str, Any]:
    """The settings of `canonical` except those in `ignore`."""
    exact, below = set(ignore), tuple(f"{name}." for name in ignore)
    return {k: v for k, v in settings.items() if k not in exact and not k.startswith(below)}


def key(settings: Mapping[str, Any]) -> str:
    """Settings as text, equal for equal settings in any order: a dictionary key."""
    return json.dumps(settings, sort_keys=True, default=str)


def config_hash(config: Mapping[str, Any]) -> str:
    """The first hexadecimal digits of the SHA-256 of the canonical config."""
    return settings_hash(canonical(config))


def settings_hash(settings: Mapping[str, Any]) -> str:
    """The first hexadecimal digits of the SHA-256 of settings in any order."""
    return hashlib.sha256(key(dict(_leaves(settings))).encode()).hexdigest()[:DIGITS]


def evaluation_hashes(config: Mapping[str, Any]) -> dict[str, str]:
    """The metrics of `config["evaluation"]`, each with the hash of its settings."""
    chosen = config.get("evaluation") or {}
    return {name: settings_hash(one) for name, one in chosen.items() if one is not None}


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], ignore: Iterable[str] = NOT_HASHED
) -> dict[str, tuple[Any, Any]]:
    """{setting: (old value, new value)} for the settings of `canonical` that differ."""
    before, after = canonical(old, ignore), canonical(new, ignore)
    keys = sorted(before.keys() | after.keys())
    return {k: (before.get(k), after.get(k)) for k in keys if before.get(k) != after.get(k)}


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for name, value in tree.items():
        dotted = f"{prefix}{name}"
        if isinstance(value, Mapping):
            leaves += _leaves(value, f"{dotted}.")
        else:
            leaves.append((dotted, _normalised(value)))
    return leaves


def _normalised(value: Any) -> Any:
    """Integral floats as integers, also within lists and mappings."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list | tuple):
        return [_normalised(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _normalised(item) for name, item in value.items()}
    return value
