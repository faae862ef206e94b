"""How numbers, metrics, options and settings are written in tables, sentences and figures."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Interval, Text

MINUS, MISSING = "\u2212", "\u2013"  # a minus sign and a dash, as typesetters use them
ACRONYMS = ("mig", "dci", "sap", "vae", "elbo", "kl", "tc", "mi", "irs", "nll", "fid", "udr", "pca")
WORDS = {word: word.upper() for word in ACRONYMS} | {
    "bayes": "Bayes",
    "gaussian": "Gaussian",
    "wasserstein": "Wasserstein",
}
CLASSES = {"BetaVAE": "beta-VAE", "DSprites": "dSprites", "FashionMNIST": "Fashion-MNIST"}
MAIN = {"elbo": "ELBO", "reconstruction": "reconstruction", "kl": "KL"} | {
    "active_units": "active units"
}
IN_NATS = ("elbo", "reconstruction", "kl")
SPLITS = {"val": "validation ", "test": "test ", "": ""}


def format_number(value: float | None, digits: int = 4) -> str:
    """`digits` significant digits, a comma between thousands, a real minus sign."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        text = f"{value:,.0f}"
    elif 1e-3 <= abs(value) < 1e6:
        rounded = float(f"{abs(value):.{digits - 1}e}")  # 0.99999 has the digits of 1
        decimals = max(0, digits - 1 - math.floor(math.log10(rounded)))
        text = f"{value:,.{decimals}f}"
    else:
        text = f"{value:.{digits - 1}g}"
    return text.replace("-", MINUS)


def format_duration(seconds: float) -> str:
    """45 s, 8 min 17 s, 3 h 5 min."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{seconds:.3g} s"


def format_interval(
    value: float | None, bounds: Sequence[float] | None, digits: int = 3, is_range: bool = False
) -> Text:
    """A number with its interval, 0.12 [0.10, 0.14], or with its range, 0.12 (0.10 to 0.14)."""
    text = format_number(value, digits)
    if not bounds:
        return text
    low, high = (format_number(bound, digits) for bound in bounds)
    return (f"{text} ", Interval(f"({low} to {high})" if is_range else f"[{low}, {high}]"))


def format_score(key: str) -> str:
    """metrics/mig -> MIG; best/metrics/dci_completeness -> DCI completeness (best)."""
    before, _, name = key.partition("metrics/")
    words = " ".join(WORDS.get(word, word) for word in name.split("_"))
    return words + (f" ({before.rstrip('/')})" if before else "")


def format_metric(name: str) -> str:
    """elbo -> ELBO; val/elbo -> validation ELBO; metrics/elbo -> ELBO (evaluated)."""
    if name in MAIN:
        return MAIN[name]
    if "metrics/" in name:
        measured_twice = name.rpartition("/")[2] in MAIN  # in training and by evaluation
        return format_score(name) + (" (evaluated)" if measured_twice else "")
    split, _, last = name.rpartition("/")
    return SPLITS.get(split, f"{split} ") + (MAIN.get(last) or last.replace("_", " "))


def format_axis(name: str) -> str:
    """The label of an axis: the metric with its unit."""
    unit = " (nats per image)" if name.rpartition("/")[2] in IN_NATS else ""
    return format_metric(name) + unit


def format_value(option: str, value: Any) -> str:
    """objective.beta and 4 -> beta 4; objective and BetaVAE -> beta-VAE."""
    short = option.rpartition(".")[2].replace("_", " ")
    if value is None:
        return f"no {short}"
    if isinstance(value, str) and not value.startswith("["):
        return CLASSES.get(value, value)
    return f"{short} {value:g}" if isinstance(value, float) else f"{short} {value}"


def format_setting(options: Mapping[str, Any]) -> str:
    """The values of several options: beta-VAE, beta 4."""
    return ", ".join(format_value(option, value) for option, value in options.items())
