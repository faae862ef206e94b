"""The settings of a search, and what can be rejected before anything is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import get_object
from omegaconf import DictConfig

from vaelab.errors import require, require_choice, require_range
from vaelab.runs.config import to_container
from vaelab.runs.config_hash import canonical
from vaelab.sweep.launchers import Launcher
from vaelab.sweep.launchers.slurm import Slurm
from vaelab.sweep.search.space import Space
from vaelab.sweep.search.storage import SAMPLERS, missing_metric

PRUNERS = {
    "median": "MedianPruner",
    "halving": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
}


@dataclass(frozen=True)
class SearchSettings:
    """See conf/hydra/sweeper/optuna.yaml.

    Raises:
        UserError: one that is out of range.
    """

    metric: str
    direction: Literal["maximize", "minimize"]
    num_trials: int
    seeds: Sequence[int] | None
    sampler: str
    sampler_seed: int
    pruner: str
    n_startup_trials: int
    n_warmup_steps: int
    reduction_factor: int

    def __post_init__(self) -> None:
        require_choice("hydra.sweeper.direction", self.direction, ("maximize", "minimize"))
        require_choice("hydra.sweeper.sampler", self.sampler, SAMPLERS)
        require_choice("hydra.sweeper.pruner", self.pruner, (*PRUNERS, "none"))
        least = {"num_trials": 1, "n_startup_trials": 0, "n_warmup_steps": 0, "reduction_factor": 2}
        for name, low in least.items():
            value = getattr(self, name)
            require_range(f"hydra.sweeper.{name}", value, at_least=low, integer=True, example=low)
        require(
            not isinstance(self.seeds, int | str),
            f"hydra.sweeper.seeds expects a list, got {self.seeds!r}; try [0,1,2].",
        )
        require(
            self.pruner == "none" or self.metric.startswith("val/"),
            f"hydra.sweeper.metric expects a number of validations where a pruner is chosen, got "
            f"{self.metric}; try val/elbo, or hydra.sweeper.pruner=none.",
        )

    def pruning_overrides(self, cfg: DictConfig) -> list[str]:
        """The override that adds the pruning callback to a job; no part of the run's identity.

        Args:
            cfg: of a trial, for the step of its first validation.
        """
        if self.pruner == "none":
            return []
        first = max(self.n_warmup_steps, cfg.val_every_n_steps)
        settings = f"min_resource:{first},reduction_factor:{self.reduction_factor}"
        if self.pruner == "median":
            settings = (
                f"n_startup_trials:{self.n_startup_trials},n_warmup_steps:{self.n_warmup_steps}"
            )
        return [
            "++callbacks.pruning={_target_:vaelab.training.callbacks.Pruning,_partial_:true,"
            f"metric:{self.metric},pruner:{PRUNERS[self.pruner]},settings:{{{settings}}}}}"
        ]


def compose_example(space: Space, settings: SearchSettings) -> DictConfig:
    """The config of one trial, after composing every option of the groups that are searched.

    Raises:
        UserError: the metric is an ELBO, and the model has none.
        HydraException: a setting or an option that does not exist.
    """
    first = space.example()
    cfg = compose("train", overrides=[*space.fixed, *space.overrides(first)])
    loader = GlobalHydra.instance().config_loader()
    for key, one in space.distributions.items():
        if hasattr(one, "choices") and loader.get_group_options(key):
            for choice in one.choices[1:]:
                params = {**first, key: choice}
                compose("train", overrides=[*space.fixed, *space.overrides(params)])
    if settings.metric.endswith("/elbo") and not get_object(cfg.posterior._target_).has_density:
        raise missing_metric(settings.metric, {})
    return cfg


def require_limit(settings: SearchSettings, launcher: Launcher) -> None:
    """Reject SLURM without num_jobs: it takes all trials before the sampler learns from any.

    Ray without num_jobs takes as many as there are cores.
    """
    require(
        settings.sampler == "random" or not isinstance(launcher, Slurm) or bool(launcher.num_jobs),
        f"hydra.sweeper.sampler={settings.sampler} learns from finished trials and expects a limit "
        "on how many run at once, got hydra.launcher.num_jobs=null; set "
        "hydra.launcher.num_jobs=4, or hydra.sweeper.sampler=random, which does not learn.",
    )


def comparable_settings(
    space: Space, settings: SearchSettings, example: DictConfig
) -> dict[str, Any]:
    """What must not change for trials to be comparable: the space, the value, all that is fixed."""
    # Scores computed with other settings are other numbers; validations don't depend on them.
    scored = to_container(example).get("evaluation") if "metrics/" in settings.metric else None
    return {
        **{f"the space of {key}": str(one) for key, one in space.distributions.items()},
        "hydra.sweeper.metric": settings.metric,
        "hydra.sweeper.direction": settings.direction,
        "hydra.sweeper.seeds": list(settings.seeds or []),
        **canonical(to_container(example)),
        **{f"evaluation.{key}": value for key, value in canonical(scored or {}).items()},
    }
