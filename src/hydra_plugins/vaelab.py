"""Hydra's sweepers of vaelab. Hydra finds them by this folder's name; they must import quickly."""

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.utils import configure_log
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class VaelabSweeper(Sweeper):
    """What all share: settings of conf/hydra/sweeper/, and where the sweep lies.

    The launcher is one of vaelab's.
    """

    def __init__(self, **settings: Any):
        self.settings = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra = config.hydra

    def sweep(self, arguments: list[str]) -> None:
        configure_log(self.hydra.hydra_logging, self.hydra.verbose)
        folder = Path(self.hydra.sweep.dir)
        self.runner()(folder, arguments, self.hydra.launcher, **self.settings)

    @abstractmethod
    def runner(self) -> Callable[..., None]:
        """The function that sweeps, imported when it is needed."""


class Grid(VaelabSweeper):
    """Every combination of the values typed; see conf/hydra/sweeper/grid.yaml."""

    def runner(self) -> Callable[..., None]:
        from vaelab.sweep.grid import run_grid

        return run_grid


class Search(VaelabSweeper):
    """What Optuna proposes, trial by trial; see conf/hydra/sweeper/optuna.yaml."""

    def runner(self) -> Callable[..., None]:
        from vaelab.sweep.search.optimize import run_search

        return run_search
