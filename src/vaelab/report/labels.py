"""How numbers and settings are called in tables and plots."""

from collections.abc import Mapping
from typing import Any

from vaelab.report.settings import NAMES
from vaelab.report.summary import metric_title

MAIN = {"elbo": "ELBO", "reconstruction": "reconstruction", "kl": "KL"} | {
    "active_units": "active units"
}
IN_NATS = ("elbo", "reconstruction", "kl")


def title(number: str) -> str:
    """elbo -> ELBO, metrics/mig -> MIG, metrics/elbo -> ELBO (evaluated)."""
    if number in MAIN:
        return MAIN[number]
    if "metrics/" in number:
        measured_twice = number.rpartition("/")[2] in MAIN  # in training and by evaluation
        return metric_title(number) + (" (evaluated)" if measured_twice else "")
    split, _, name = number.rpartition("/")
    words = {"val": "validation ", "test": "test ", "": ""}.get(split, f"{split} ")
    return words + (MAIN.get(name) or name.replace("_", " "))


def with_unit(number: str) -> str:
    """The same with nats per image, where it is in these."""
    unit = " (nats per image)" if number.rpartition("/")[2] in IN_NATS else ""
    return title(number) + unit


def short(setting: str) -> str:
    """objective.beta -> beta."""
    return setting.rpartition(".")[2].replace("_", " ")


def cell_name(settings: Mapping[str, Any]) -> str:
    """beta-VAE, beta 4: values of words alone, numbers behind their name."""
    return ", ".join(value_name(name, value) for name, value in settings.items())


def value_name(setting: str, value: Any) -> str:
    """objective.beta and 4 -> beta 4; objective and BetaVAE -> beta-VAE."""
    if value is None:
        return f"no {short(setting)}"
    if isinstance(value, str) and not value.startswith("["):
        return NAMES.get(value, value)
    text = f"{value:g}" if isinstance(value, float) else value
    return f"{short(setting)} {text}"
