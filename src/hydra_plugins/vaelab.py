"""Hydra's sweepers of vaelab. Hydra finds them by this folder's name; they must import quickly."""

from pathlib import Path
from typing import Any

from hydra.core.utils import configure_log
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class VaelabSweeper(Sweeper):
    """What all share: the config, and where the sweep lies. The launcher is one of vaelab's."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra = config.hydra

    @property
    def folder(self) -> Path:
        return Path(self.hydra.sweep.dir)


class Grid(VaelabSweeper):
    """Every combination of the values typed; see conf/hydra/sweeper/grid.yaml."""

    def __init__(self, **settings: Any):
        self.settings = settings

    def sweep(self, arguments: list[str]) -> None:
        from vaelab.sweep.grid import run_grid

        configure_log(self.hydra.hydra_logging, self.hydra.verbose)
        run_grid(self.folder, arguments, self.hydra.launcher, **self.settings)


class Search(VaelabSweeper):
    """What Optuna proposes, trial by trial; see conf/hydra/sweeper/optuna.yaml."""

    def __init__(self, **settings: Any):
        self.settings = settings

    def sweep(self, arguments: list[str]) -> None:
        from vaelab.sweep.search import run_search

        configure_log(self.hydra.hydra_logging, self.hydra.verbose)
        run_search(self.folder, arguments, self.hydra.launcher, **self.settings)
