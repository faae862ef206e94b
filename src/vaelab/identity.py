"""Which run a config asks for: the same one, if the hash of its canonical form is the same."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Where a run lies, what it is measured by and what it computes on do not make it another run.
OF_THE_MACHINE = (
    *("name", "resume", "output_root", "data_root", "num_threads", "target", "evaluation"),
    *("trainer.enable_progress_bar", "callbacks.progress", "callbacks.pruning"),
)
DIGITS = 10


def canonical(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run under dotted names, without those of the machine.

    A number is written in one way, so that beta=1 and beta=1.0 are one run. `data.root` is left out
    where it is the machine's data_root, and kept where it names the images themselves.

    Args:
        config: resolved, as plain containers.
    """
    flat = dict(_leaves(config))
    if flat.get("data.root") == flat.get("data_root"):
        flat.pop("data.root", None)
    return {
        name: value
        for name, value in sorted(flat.items())
        if not any(name == one or name.startswith(f"{one}.") for one in OF_THE_MACHINE)
    }


def job_id(config: Mapping[str, Any]) -> str:
    """The first hexadecimal digits of the SHA-256 of the canonical config."""
    return digest(canonical(config))


def digest(settings: Mapping[str, Any]) -> str:
    """The first hexadecimal digits of the SHA-256 of settings, in whichever order they stand."""
    text = json.dumps(dict(_leaves(settings)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """{setting: (old value, new value)} where two configs ask for different runs."""
    before, after = canonical(old), canonical(new)
    keys = sorted(before.keys() | after.keys())
    return {k: (before.get(k), after.get(k)) for k in keys if before.get(k) != after.get(k)}


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        leaves += (
            _leaves(value, f"{name}.") if isinstance(value, Mapping) else [(name, _one(value))]
        )
    return leaves


def _one(value: Any) -> Any:
    """A number in the one way that it is written."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list | tuple):
        return [_one(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _one(item) for key, item in value.items()}
    return value
