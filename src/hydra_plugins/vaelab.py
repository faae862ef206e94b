"""The sweepers of train.py -m. Hydra imports this folder at every start, so nothing heavy here."""

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.utils import configure_log
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from vaelab.errors import UserError


class VaelabSweeper(Sweeper):
    """Base class: settings as in conf/hydra/sweeper/, and a launcher of vaelab."""

    def __init__(self, **settings: Any):
        self.settings = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra = config.hydra

    def sweep(self, arguments: list[str]) -> None:
        if any(one.startswith("resume=") for one in arguments):
            raise UserError(
                "resume expects one run, got a sweep (-m); leave out -m, or leave out resume=: the "
                "same sweep command resumes its own jobs."
            )
        configure_log(self.hydra.hydra_logging, self.hydra.verbose)
        folder = Path(self.hydra.sweep.dir)
        self.runner()(folder, arguments, self.hydra.launcher, **self.settings)

    @abstractmethod
    def runner(self) -> Callable[..., None]:
        """The function that runs the sweep, imported only when it is needed."""


class Grid(VaelabSweeper):
    """Every combination of the values given; see conf/hydra/sweeper/grid.yaml."""

    def runner(self) -> Callable[..., None]:
        from vaelab.sweep.grid import run_grid

        return run_grid


class Search(VaelabSweeper):
    """Trials proposed by Optuna; see conf/hydra/sweeper/optuna.yaml."""

    def runner(self) -> Callable[..., None]:
        from vaelab.sweep.search.optimize import run_search

        return run_search
