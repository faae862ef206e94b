"""vaelab: train, sweep and reproduce variational autoencoders."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaelab.load import Run, load_run

__all__ = ["Run", "load_run"]


def __getattr__(name: str) -> Any:
    # Late, so that `import vaelab.objectives` needs torch alone and the command line nothing.
    if name in __all__:
        from vaelab import load

        return getattr(load, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
