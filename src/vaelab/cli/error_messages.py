"""Errors of the command line as sentences a stranger can act on."""

import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from vaelab.errors import causes, known_cause, nearest


def error_message(error: BaseException, conf: Path, config_name: str) -> str | None:
    """The message for the user about an exception, or None if it is a bug and not a mistake."""
    chain = list(causes(error))
    known = known_cause(error)
    if known:
        return known
    for link in chain:
        if isinstance(link, MissingConfigException) and link.missing_cfg_file:
            return _unknown_option(link, conf)
        swept = re.match(r"Ambiguous value for argument '([^']+)'", str(link))
        if swept:
            return (
                f"{swept[1]} has several values: with -m (python scripts/train.py -m ...) each is "
                "a run of a sweep; a list is written in brackets, as in model.hidden=[400,200]."
            )
        if str(link).startswith("Config group override must be"):
            return (
                "a group expects the name of an option, or a list of them in brackets, got "
                "neither; `--help` lists groups and options, and [] chooses none."
            )
        key = re.match(r"Could not override '([^']+)'", str(link))
        if isinstance(link, ConfigCompositionException) and key:
            return _unknown_key(key[1], conf, config_name)
        if isinstance(link, MissingMandatoryValue):
            key = re.search(r"[\w.]+$", str(link).splitlines()[0])
            name = key[0] if key else "a setting"
            return f"{name} expects a value, got none; set {name}=... on the command line."
        if isinstance(link, InstantiationException):
            return _rejected_by_constructor(link)
        if type(link).__name__ == "MisconfigurationException":  # of Lightning, not imported here
            return f"trainer expects settings that go together, got: {_one_line(link)}."
    if isinstance(error, HydraException | OmegaConfBaseException):
        return f"{_one_line(error)}; `--help` lists settings and options."
    return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".;")


def _rejected_by_constructor(error: InstantiationException) -> str | None:
    """For classes of other packages; an error within one of ours is a bug."""
    found = re.search(r"call to target '([\w.]+)'", str(error))
    path = re.search(r"full_key: (\S+)", str(error))
    if found is None:
        located = re.search(r"Error locating target '([\w.]+)'", str(error))
        if located is None:
            return None
        return (
            f"{path[1] if path else '_target_'} expects a class that can be imported, got "
            f"{located[1]}; check its spelling, and name the folder of your own packages in "
            "PYTHONPATH."
        )
    if found[1].startswith("vaelab.") or error.__cause__ is None:
        return None
    where = path[1] if path else found[1]
    return (
        f"{where} expects settings that {found[1]} accepts, got: {_one_line(error.__cause__)}; "
        f"`--cfg job -p {where}` shows them."
    )


def _unknown_option(error: MissingConfigException, conf: Path) -> str:
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    # Hydra lists no options for groups of which many may be chosen.
    files = sorted((conf / group).rglob("*.yaml"))
    options = error.options or [str(f.relative_to(conf / group).with_suffix("")) for f in files]
    hint = nearest(option, options)
    return f"{group}={option} is not an option, expected one of {', '.join(options) or 'none'}" + (
        f"; did you mean {hint}?" if hint else "."
    )


def _unknown_key(key: str, conf: Path, config_name: str) -> str:
    GlobalHydra.instance().clear()
    if key.startswith("hydra."):
        return _unknown_key_of_sweep(key, conf)
    # With the options that were chosen, since a key of theirs may have been meant; not with sweeps.
    choice = re.compile(r"([^=]+)=([^,\[\]]+|\[[^\[\]]*\])")
    matches = [match for match in map(choice.fullmatch, sys.argv[1:]) if match]
    chosen = [match[0] for match in matches if (conf / match[1]).is_dir()]
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


def _unknown_key_of_sweep(key: str, conf: Path) -> str:
    """For settings of launchers and sweepers, which are no settings of a run."""
    group, _, last = key.removeprefix("hydra.").partition(".")
    files = sorted((conf / "hydra" / group).glob("*.yaml"))
    given = dict(one.split("=", 1) for one in sys.argv[1:] if one.startswith("hydra/"))
    usual = {"launcher": "serial", "sweeper": "grid"}.get(group)
    chosen = given.get(f"hydra/{group}", usual)
    found = {file.stem: [str(name) for name in OmegaConf.load(file)] for file in files}
    options = {name: [k for k in keys if k != "_target_"] for name, keys in found.items()}
    known = options.get(str(chosen), [])
    others = [name for name, keys in options.items() if last in keys]
    hint = nearest(last, known, 1)
    sentence = f"{key} is not a setting of hydra/{group}={chosen}, which has "
    sentence += ", ".join(known) or "none"
    if others:
        return f"{sentence}; hydra/{group}={others[0]} has it."
    return sentence + (f"; did you mean {hint}?" if hint else ".")


def _keys(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    """Dotted names of all nodes."""
    tree: Any = OmegaConf.to_container(cfg, resolve=False) if isinstance(cfg, DictConfig) else cfg
    for name, value in tree.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{name}.")  # type: ignore[arg-type]
