"""vaelab: train, sweep and reproduce variational autoencoders."""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaelab.load import load_run, load_runs
    from vaelab.loaded_run import Run

__all__ = ["Run", "load_run", "load_runs"]


def __getattr__(name: str) -> Any:
    # At first use, so that `import vaelab.objectives` needs torch alone and the command line
    # starts at once; submodules too, so that `vaelab.metrics` works after `import vaelab`.
    if name in __all__:
        return getattr(import_module("vaelab.load"), name)
    if name in _submodules():
        return import_module(f"vaelab.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_submodules()]


def _submodules() -> list[str]:
    return [module.name for module in iter_modules(__path__)]
