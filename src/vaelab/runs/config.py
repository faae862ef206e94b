"""Resolved configs: as plain containers, read back from a run folder, by the names of options."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from vaelab.errors import UserError, require
from vaelab.runs.config_hash import canonical

PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = PACKAGE.parents[1]
# A wheel carries conf/ inside the package, a checkout has it at its top level.
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else CHECKOUT / "conf"
# The groups of conf/ of which a run has one option each.
OPTION_GROUPS = (
    *("data", "model", "posterior", "prior", "likelihood", "objective", "kl_penalty"),
    *("optimizer", "lr_scheduler"),
)
# What a run is built from. A folder whose config lacks one was written by an older version.
REQUIRED_KEYS = (
    *("data", "model", "posterior", "prior", "likelihood", "objective", "kl_penalty"),
    *("optimizer", "lr_scheduler", "trainer", "callbacks", "logger", "metrics"),
    *("seed", "latent_dim", "init", "batch_size", "eval_batch_size", "replacement", "pixels"),
    *("num_steps", "num_threads", "compile", "channels_last", "float32_matmul", "data_root"),
)


def to_container(cfg: DictConfig) -> dict[str, Any]:
    """The resolved config as plain containers."""
    container = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def load_config(path: Path) -> DictConfig:
    """A resolved config from a run folder, of whichever version."""
    try:
        cfg = OmegaConf.load(path)
    except (YAMLError, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} expects a config in YAML, got {reason}; put it back as it was (each "
            "checkpoint holds a copy), or start a new run."
        ) from error
    require(
        isinstance(cfg, DictConfig),
        f"{path} expects a mapping in YAML, got another kind; put it back as it was (each "
        "checkpoint holds a copy), or start a new run.",
    )
    return cast(DictConfig, cfg)


def load_current_config(path: Path) -> DictConfig:
    """A config to build from; see `require_current`."""
    return require_current(load_config(path), path)


def require_current(cfg: DictConfig, path: Path) -> DictConfig:
    """The config itself, of `path`, if models and data can be built from it.

    Raises:
        UserError: it lacks settings.
    """
    missing = [name for name in REQUIRED_KEYS if name not in cfg]
    require(
        not missing,
        f"expected the config of a run of this version, got {path}, which lacks "
        f"{', '.join(missing)}: it was written by another version of vaelab (provenance.json says "
        "which); use that version, or train again. Its report can still be made.",
    )
    return cfg


def option_names(config: Mapping[str, Any], overrides: Sequence[str] = ()) -> dict[str, str]:
    """The option chosen in each of `OPTION_GROUPS`: {"data": "dsprites_small", ...}.

    It is the one that the command line names. Where it names none, as under an experiment, it is
    the option of conf/ with the same classes and the most settings in common, and where there is
    none, the name of the class.

    Args:
        config: resolved, as plain containers.
        overrides: the command line of the run.
    """
    pairs = (override.partition("=")[::2] for override in overrides)
    typed = {key: value for key, value in pairs if re.fullmatch(r"[\w/-]+", value)}
    return {
        group: typed.get(group) or _nearest_option(group, config.get(group) or {})
        for group in OPTION_GROUPS
    }


def _nearest_option(group: str, part: Mapping[str, Any]) -> str:
    settings = canonical(part, ())
    classes = _classes(settings)
    # A config has the classes of what an option interpolates (objective.kl_penalty) as well.
    candidates = {
        name: option
        for name, option in _load_options(group).items()
        if _classes(option).items() <= classes.items() and bool(_classes(option)) == bool(classes)
    }

    def in_common(name: str) -> int:
        given = {k: v for k, v in candidates[name].items() if not str(v).startswith("${")}
        return sum(1 if settings.get(key) == value else -1 for key, value in given.items())

    if candidates:
        return max(sorted(candidates), key=in_common)
    return next((target.rpartition(".")[2] for target in classes.values()), "none")


def _classes(settings: Mapping[str, Any]) -> dict[str, str]:
    return {k: v for k, v in settings.items() if k == "_target_" or k.endswith("._target_")}


@cache
def _load_options(group: str) -> dict[str, dict[str, Any]]:
    """The options of a group of conf/ by name, flat, with interpolations as they stand there."""
    return {f.stem: _load_option(f) for f in sorted((CONF / group).glob("*.yaml"))}


def _load_option(file: Path) -> dict[str, Any]:
    """One option, with those of its group that its defaults list names."""
    content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    assert isinstance(content, dict)
    bases = [name for name in content.pop("defaults", []) if isinstance(name, str)]
    if "# @package _global_" in file.read_text():
        content = content.get(file.parent.name) or {}
    settings: dict[str, Any] = {}
    for name in bases:
        if name != "_self_":
            settings |= _load_option(file.with_stem(name))
    return settings | canonical({str(key): value for key, value in content.items()}, ())
