"""The metric functions of a checkout of disentanglement_lib, called as in its own study.

Only its metric files are imported. They use gin, six and absl only for configuration, logging and
loops; stand-ins of a few lines replace these packages.
"""

import importlib
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

FILES = (
    *("utils", "beta_vae", "factor_vae", "mig", "dci", "sap_score", "irs"),
    *("modularity_explicitness", "unsupervised_metrics"),
)
SAMPLES = {"num_train": 10_000, "batch_size": 1000}
TESTED = {**SAMPLES, "num_test": 5000}
VOTES = {"num_train": 10_000, "num_eval": 5000, "batch_size": 64}


class GroundTruth:
    """disentanglement_lib's interface to data; an observation is the index of an image."""

    factor_sizes = (3, 6, 40, 32, 32)
    num_factors = 5

    def sample_factors(self, num: int, random_state: Any) -> np.ndarray:
        return np.stack([random_state.randint(s, size=num) for s in self.factor_sizes], axis=1)

    def sample_observations_from_factors(self, factors: np.ndarray, random_state: Any) -> Any:
        return np.ravel_multi_index(tuple(factors.T), self.factor_sizes)

    def sample_observations(self, num: int, random_state: Any) -> np.ndarray:
        return self.sample(num, random_state)[1]

    def sample(self, num: int, random_state: Any) -> tuple[np.ndarray, np.ndarray]:
        factors = self.sample_factors(num, random_state)
        return factors, self.sample_observations_from_factors(factors, random_state)


def load_peer(checkout: Path, given: Any) -> dict[str, Callable[[], float]]:
    """metric -> a function that computes the peer's score of the given codes."""
    _install_stand_ins()
    sys.path.insert(0, str(checkout))
    module = partial(importlib.import_module, package=None)
    files: dict[str, Any] = {
        name: module(f"disentanglement_lib.evaluation.metrics.{name}") for name in FILES
    }
    utils, factor_vae = files["utils"], files["factor_vae"]
    bins = {"num_bins": 20, "discretizer_fn": utils._histogram_discretize}
    utils.make_discretizer = partial(utils.make_discretizer, **bins)
    factor_vae._prune_dims = partial(factor_vae._prune_dims, threshold=0.05)

    def call(function: Callable, score: str, options: dict[str, Any]) -> float:
        state = np.random.RandomState(0)
        scores = function(GroundTruth(), given.table.__getitem__, state, **options)
        return float(scores[score])

    sap = {**TESTED, "continuous_factors": False}
    known = {
        "beta_vae_score": (files["beta_vae"].compute_beta_vae_sklearn, "eval_accuracy", VOTES),
        "factor_vae_score": (
            factor_vae.compute_factor_vae,
            "eval_accuracy",
            {**VOTES, "num_variance_estimate": 10_000},
        ),
        "mig": (files["mig"].compute_mig, "discrete_mig", SAMPLES),
        "dci": (files["dci"].compute_dci, "disentanglement", TESTED),
        "sap": (files["sap_score"].compute_sap, "SAP_score", sap),
        "modularity": (
            files["modularity_explicitness"].compute_modularity_explicitness,
            "modularity_score",
            TESTED,
        ),
        "irs": (files["irs"].compute_irs, "IRS", {**SAMPLES, "batch_size": 16}),
        "unsupervised": (
            files["unsupervised_metrics"].unsupervised_metrics,
            "gaussian_total_correlation",
            SAMPLES,
        ),
    }
    return {name: partial(call, *arguments) for name, arguments in known.items()}


def _install_stand_ins() -> None:
    """Put modules under the names that the peer imports."""

    def configurable(*_: Any, **__: Any) -> Callable:
        return lambda function: function

    parts: dict[str, dict[str, Any]] = {
        "gin": {"configurable": configurable, "REQUIRED": None},
        "gin.tf": {},
        "absl": {},
        "absl.logging": {"info": lambda *_: None},
        "six": {},
        "six.moves": {"range": range},
    }
    for name, content in parts.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        sys.modules.setdefault(name, module)
        above, _, last = name.rpartition(".")
        if above:
            setattr(sys.modules[above], last, sys.modules[name])
