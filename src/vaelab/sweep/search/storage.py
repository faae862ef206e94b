"""The Optuna study of a search: opened, compared with what was asked for, sampled, summarised."""

import json
import logging
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vaelab.errors import UserError, nearest, require

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler

FILE, NAME = "study.journal", "search"
SETTINGS = "settings"  # the attribute of the study that holds them
SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "gp": "GPSampler",
    "cmaes": "CmaEsSampler",
}
NUM_BEST = 5
ENOUGH_FOR_IMPORTANCE = 10  # finished trials; with fewer, the forest fits noise


class MissingMetric(UserError):
    """A finished run lacks the metric that is searched by."""


def require_optuna() -> None:
    """Require Optuna and the package of its CMA-ES, and let it log like all else."""
    try:
        import cmaes  # noqa: F401
        import optuna
    except ImportError as error:
        raise UserError(
            f"hydra/sweeper=optuna expects Optuna, got {error}; pip install 'vaelab[optuna]'."
        ) from None
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    logging.getLogger("optuna").setLevel(logging.WARNING)


def open_study(
    folder: Path, direction: Literal["minimize", "maximize"], settings: Mapping[str, Any]
) -> "Study":
    """The study in a sweep's folder, created if there is none.

    Args:
        settings: what makes trials comparable, flat; stored with the study.

    Raises:
        UserError: the file holds no study, or one of another search.
    """
    import optuna

    from vaelab.training.callbacks.pruning import open_journal  # here, since torch comes with it

    settings, file = json.loads(json.dumps(settings)), folder / FILE
    content = file.read_bytes() if file.exists() else b""
    whole = content.rfind(b"\n") + 1
    if 0 < whole < len(content):  # cut short by a crash or a full disk; Optuna would append to it
        os.truncate(file, whole)
    try:
        storage = open_journal(file)
        study = optuna.create_study(
            storage=storage, study_name=NAME, direction=direction, load_if_exists=True
        )
        if study.user_attrs.get(SETTINGS) != settings and not has_values(study):
            # Nothing has been learnt yet: a mistake in the settings may be corrected.
            optuna.delete_study(study_name=NAME, storage=storage)
            study = optuna.create_study(storage=storage, study_name=NAME, direction=direction)
            study.set_user_attr(SETTINGS, settings)
        known = study.user_attrs[SETTINGS]
    except (ValueError, LookupError, TypeError, AssertionError) as error:
        raise UserError(
            f"a search expects Optuna's journal in {file}, got a file that Optuna can't read "
            f"({error!r}); move it away: the same command finds the finished runs again."
        ) from error
    changed = [key for key in {**known, **settings} if known.get(key) != settings.get(key)]
    rows = "; ".join(f"{key}: {known.get(key)} -> {settings.get(key)}" for key in changed)
    require(
        not changed,
        f"a search expects the settings that {file} was created with, got {rows}; choose another "
        "name=.",
    )
    return study


def has_values(study: "Study") -> bool:
    """Whether any trial came as far as to have a value."""
    trials = study.get_trials(deepcopy=False)
    return any(trial.state.name in ("COMPLETE", "PRUNED") for trial in trials)


def new_sampler(name: str, seed: int, number: int) -> "BaseSampler":
    """Optuna's sampler for one trial: what it draws depends on seed, number and earlier trials.

    Optuna does not store the state of a sampler, so that a search that is resumed with one sampler
    for all trials would draw others.
    """
    import optuna

    from vaelab.seeding import derive_seed

    sampler = getattr(optuna.samplers, SAMPLERS[name])
    return sampler(seed=derive_seed("search", seed, number) % 2**32)


def missing_metric(metric: str, known: Mapping[str, Any]) -> MissingMetric:
    """The error for a run that lacks the metric; `known` are those it has."""
    hint = nearest(metric, known)
    return MissingMetric(
        f"hydra.sweeper.metric expects a number in metrics.json, got {metric}, which this run does "
        f"not have{f'; nearest: {hint}' if hint else ''}. For models without an ELBO use "
        "hydra.sweeper.metric=val/reconstruction hydra.sweeper.direction=minimize."
    )


def best_trials(study: "Study", folder: Path, metric: str) -> str:
    """The best trials with their settings and folders, and the importance of each setting."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    counts = Counter(trial.state.name.lower() for trial in study.trials)
    states = ", ".join(f"{num} {state}" for state, num in counts.items())
    lines = [f"\nsearch      {metric}, {study.direction.name.lower()}d: {states}"]
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    for trial in sorted(finished, key=lambda one: sign * (one.value or 0.0))[:NUM_BEST]:
        params = " ".join(f"{key}={_short(value)}" for key, value in trial.params.items())
        lines.append(f"{trial.value:>12.4f}  {params}")
        lines += [f"              {folder / run}" for run in trial.user_attrs["runs"]]
    if len(finished) >= ENOUGH_FOR_IMPORTANCE:
        # Shares of the variance of the values, by functional ANOVA (Hutter et al. 2014).
        shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
        lines.append("importance  " + "  ".join(f"{key} {x:.0%}" for key, x in shares.items()))
    lines.append(f"study       {folder / FILE}")
    return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
