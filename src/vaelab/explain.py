"""Errors of the command line as sentences a stranger can act on."""

import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaelab.errors import causes, known_cause, nearest


def explain(error: BaseException, conf: Path, config_name: str) -> str | None:
    """What to tell the user about an exception, or None if it is a bug and not a mistake."""
    chain = list(causes(error))
    known = known_cause(error)
    if known:
        return known
    for link in chain:
        if isinstance(link, MissingConfigException) and link.missing_cfg_file:
            return _unknown_option(link, conf)
        key = re.match(r"Could not override '([^']+)'", str(link))
        if isinstance(link, ConfigCompositionException) and key:
            return _unknown_key(key[1], conf, config_name)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return " ".join(str(error).split())
    return None


def _unknown_option(error: MissingConfigException, conf: Path) -> str:
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    # Hydra lists no options for groups of which many may be chosen.
    options = error.options or sorted(file.stem for file in (conf / group).glob("*.yaml"))
    hint = nearest(option, options)
    return f"{group}={option} is not an option, expected one of {', '.join(options) or 'none'}" + (
        f"; did you mean {hint}?" if hint else "."
    )


def _unknown_key(key: str, conf: Path, config_name: str) -> str:
    GlobalHydra.instance().clear()
    # With the options that were chosen, since a key of theirs may have been meant; not with sweeps.
    choice = re.compile(r"([^=]+)=([^,\[\]]+|\[[^\[\]]*\])")
    words = [word for word in map(choice.fullmatch, sys.argv[1:]) if word]
    chosen = [word[0] for word in words if (conf / word[1]).is_dir()]
    with initialize_config_dir(str(conf), version_base="1.3"):
        known = list(_keys(compose(config_name, overrides=chosen)))
    last = key.rpartition(".")[2]
    ends: dict[str, list[str]] = {}
    for name in known:
        ends.setdefault(name.rpartition(".")[2], []).append(name)
    found = difflib.get_close_matches(key, known, n=2, cutoff=0.7)
    for end in difflib.get_close_matches(last, ends, n=2, cutoff=0.7):
        found += [name for name in ends[end] if name not in found]
    hint = f"; nearest: {', '.join(found[:4])}" if found else ""
    return (
        f"{key} is not a setting of the chosen options{hint}. `--cfg job` shows all settings, and "
        f"`--help` the options."
    )


def _keys(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    """Dotted names of all nodes."""
    tree: Any = OmegaConf.to_container(cfg, resolve=False) if isinstance(cfg, DictConfig) else cfg
    for name, value in tree.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{name}.")  # type: ignore[arg-type]
