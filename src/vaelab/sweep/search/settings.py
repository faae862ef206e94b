"""How a search is set, and whether its space can be trained, before anything is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import get_object
from omegaconf import DictConfig

from vaelab.errors import require
from vaelab.runs.config import to_container
from vaelab.runs.config_hash import canonical
from vaelab.sweep.launchers import Launcher
from vaelab.sweep.launchers.slurm import Slurm
from vaelab.sweep.search.space import Space
from vaelab.sweep.search.storage import missing_metric

DIRECTIONS = ("maximize", "minimize")
PRUNERS = ("median", "halving", "none")


@dataclass(frozen=True)
class SearchSettings:
    """See conf/hydra/sweeper/optuna.yaml.

    Raises:
        UserError: one that is out of range.
    """

    metric: str
    direction: Literal["maximize", "minimize"]
    num_trials: int
    sampler: str
    sampler_seed: int
    seeds: Sequence[int] | None
    pruner: str
    n_startup_trials: int
    n_warmup_steps: int

    def __post_init__(self) -> None:
        for name, known in (("direction", DIRECTIONS), ("pruner", PRUNERS)):
            value = getattr(self, name)
            require(
                value in known,
                f"hydra.sweeper.{name} expects {', '.join(known[:-1])} or {known[-1]}, got "
                f"{value}; choose one of them.",
            )
        for name, least in (("num_trials", 1), ("n_startup_trials", 0), ("n_warmup_steps", 0)):
            value = getattr(self, name)
            require(
                isinstance(value, int) and value >= least,
                f"hydra.sweeper.{name} expects a whole number of at least {least}, got {value}; "
                "type such a one.",
            )
        require(
            self.pruner == "none" or self.metric.startswith("val/"),
            f"pruning expects a metric of validations, such as val/elbo, got {self.metric}; set "
            "hydra.sweeper.pruner=none.",
        )

    @property
    def words(self) -> list[str]:
        """What every job is told, which is part of no run's identity."""
        if self.pruner == "none":
            return []
        # Each seed is a run to compare with.
        startup = self.n_startup_trials * len(self.seeds or [0])
        return [
            "++callbacks.pruning={_target_:vaelab.training.callbacks.Pruning,_partial_:true,"
            f"metric:{self.metric},direction:{self.direction},pruner:{self.pruner},"
            f"n_startup_trials:{startup},n_warmup_steps:{self.n_warmup_steps}}}"
        ]


def check(space: Space, settings: SearchSettings) -> DictConfig:
    """Compose one trial, and every option of a group that may be chosen; returns the one config.

    Raises:
        UserError: pruning without curves to compare, or an ELBO asked of a model that has none.
        HydraException: a setting or an option that is not there.
    """
    first = space.example()
    words = [*space.fixed, *settings.words]
    cfg = compose("train", overrides=[*words, *space.words(first)])
    loader = GlobalHydra.instance().config_loader()
    for key, one in space.distributions.items():
        if hasattr(one, "choices") and loader.get_group_options(key):
            for choice in one.choices[1:]:
                compose("train", overrides=[*words, *space.words({**first, key: choice})])
    require(
        settings.pruner == "none" or any("MetricsCSV" in str(one) for one in cfg.logger.values()),
        "pruning compares the curves of metrics.csv, got runs without logger=csv; add it, or set "
        "hydra.sweeper.pruner=none.",
    )
    if settings.metric.endswith("/elbo") and not get_object(cfg.posterior._target_).has_density:
        raise missing_metric(settings.metric, {})
    return cfg


def require_room(settings: SearchSettings, launcher: Launcher) -> None:
    """Refuse to draw all trials at once, before any can tell the sampler something.

    Ray without num_jobs has as many at once as there are cores.

    Raises:
        UserError: the launcher takes whatever there is.
    """
    unlimited = isinstance(launcher, Slurm) and launcher.num_jobs is None
    require(
        not unlimited or settings.sampler == "random",
        f"a search by {settings.sampler} learns from the trials that have ended and expects a "
        "limit of how many run at once, got hydra.launcher.num_jobs=null; set "
        "hydra.launcher.num_jobs=4, or hydra.sweeper.sampler=random, which learns nothing.",
    )


def facts(space: Space, settings: SearchSettings, example: DictConfig) -> dict[str, Any]:
    """What must stay for trials to be comparable: the space, the value, and all that is fixed."""
    # Scores of other settings are other numbers; those of validations don't depend on them.
    scored = to_container(example).get("evaluation") if "metrics/" in settings.metric else None
    return {
        **{f"the space of {key}": str(one) for key, one in space.distributions.items()},
        "hydra.sweeper.metric": settings.metric,
        "hydra.sweeper.direction": settings.direction,
        "hydra.sweeper.seeds": list(settings.seeds or []),
        **canonical(to_container(example)),
        **{f"evaluation.{key}": value for key, value in canonical(scored or {}).items()},
    }
