"""Optuna's record of a search, in SQLite: opened, checked, drawn from and summed up."""

import json
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vaelab.errors import UserError, nearest, require

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler

FILE = "study.db"
SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "gp": "GPSampler",
    "cmaes": "CmaEsSampler",
}
NUM_BEST = 5
ENOUGH_FOR_IMPORTANCE = 10  # finished trials; of fewer the forest sees noise
FACTS = "search"
LACKS = "lacks"  # of a trial that was judged by a number that it has not


class MissingMetric(UserError):
    """A run lacks the number it is to be judged by."""


def require_optuna() -> None:
    """Refuse to search without Optuna; with it, have it log as all else here."""
    try:
        import optuna
    except ImportError:
        raise UserError(
            "hydra/sweeper=optuna expects Optuna, got none; pip install 'vaelab[optuna]'."
        ) from None
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    logging.getLogger("optuna").setLevel(logging.WARNING)


def open_study(
    folder: Path, direction: Literal["minimize", "maximize"], facts: Mapping[str, Any]
) -> "Study":
    """The study of a folder, new or gone on with.

    Only the process of the sweep opens it, whatever machines the jobs run on: SQLite is safe for
    one process on any file system and for several on few.

    Args:
        facts: what makes trials comparable, flat; kept with the study.

    Raises:
        UserError: the file is no study, or one of another search.
    """
    import optuna
    from sqlalchemy.engine import URL
    from sqlalchemy.exc import SQLAlchemyError

    facts = json.loads(json.dumps(facts))
    url = URL.create("sqlite", database=str((folder / FILE).resolve())).render_as_string()
    waiting = {"connect_args": {"timeout": 60}}  # seconds, for a dashboard that reads
    try:
        storage = optuna.storages.RDBStorage(url, engine_kwargs=waiting)
        study = optuna.create_study(
            storage=storage, study_name="search", direction=direction, load_if_exists=True
        )
        there = study.user_attrs.get(FACTS, facts)
        if there != facts and not has_values(study):
            # Nothing was learnt yet: whatever was wrong may be mended.
            optuna.delete_study(study_name="search", storage=storage)
            study = optuna.create_study(storage=storage, study_name="search", direction=direction)
            there = facts
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise UserError(
            f"expected a study in {folder / FILE}, got {str(error).splitlines()[0]}; move it away: "
            "runs that are finished are found again."
        ) from error
    changes = [key for key in {**there, **facts} if there.get(key) != facts.get(key)]
    rows = "; ".join(f"{key}: {there.get(key)} -> {facts.get(key)}" for key in changes)
    require(
        not changes,
        f"a search expects what {folder / FILE} was begun with, got {rows}; choose another name=.",
    )
    study.set_user_attr(FACTS, facts)
    return study


def has_values(study: "Study") -> bool:
    """Whether a trial came as far as to have the number that is searched by."""
    trials = study.get_trials(deepcopy=False)
    return any(trial.state.name in ("COMPLETE", "PRUNED") for trial in trials)


def knows_of_lack(study: "Study") -> bool:
    """Whether a trial without the number is no news: others have it, or it was said before."""
    trials = study.get_trials(deepcopy=False)
    return has_values(study) or any(LACKS in trial.user_attrs for trial in trials)


def sampler(name: str, seed: int, number: int) -> "BaseSampler":
    """A new sampler for each trial: what it draws depends on the seed and the trials before alone.

    So a search that was stopped goes on as if it had not been.

    Raises:
        UserError: no such sampler, or a package that it needs is missing.
    """
    import optuna

    from vaelab.seeding import derive_seed

    require(
        name in SAMPLERS,
        f"hydra.sweeper.sampler expects one of {', '.join(SAMPLERS)}, got {name}; choose one of "
        "them, or leave hydra/sweeper= out for all combinations.",
    )
    try:
        return getattr(optuna.samplers, SAMPLERS[name])(
            seed=derive_seed("search", seed, number) % 2**32
        )
    except ImportError as error:
        raise UserError(f"hydra.sweeper.sampler={name} expects another package: {error}") from error


def missing_metric(metric: str, known: Mapping[str, Any]) -> MissingMetric:
    """The sentence for a run that lacks the number it is to be judged by."""
    hint = nearest(metric, known)
    return MissingMetric(
        f"hydra.sweeper.metric expects a number of metrics.json, got {metric}, which this run does "
        f"not have{f'; nearest: {hint}' if hint else ''}. Models without an ELBO are compared by "
        "hydra.sweeper.metric=val/reconstruction hydra.sweeper.direction=minimize."
    )


def best_trials(study: "Study", folder: Path, metric: str) -> str:
    """The best trials with their settings and folders, and how much each setting mattered."""
    from optuna.trial import TrialState

    counts = Counter(trial.state.name.lower() for trial in study.trials)
    told = ", ".join(f"{num} {state}" for state, num in counts.items())
    lines = [f"\nsearch    {metric}, {study.direction.name.lower()}d: {told}"]
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    for trial in sorted(finished, key=lambda one: sign * (one.value or 0.0))[:NUM_BEST]:
        params = " ".join(f"{k}={_short(v)}" for k, v in trial.params.items())
        lines.append(f"{trial.value:>12.4f}  {params}")
        lines += [f"              {folder / run}" for run in trial.user_attrs["runs"]]
    if len(finished) >= ENOUGH_FOR_IMPORTANCE:
        shares = _importances(study)
        lines.append("mattered  " + "  ".join(f"{k} {share:.0%}" for k, share in shares.items()))
    lines.append(f"study     {folder / FILE}")
    return "\n".join(lines)


def _importances(study: "Study") -> dict[str, float]:
    """Shares of the variance of the values, by functional ANOVA (Hutter et al. 2014)."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
