"""Resolved configs: as plain containers, flat, and read back from a run folder."""

from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from vaelab.errors import UserError, require

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
