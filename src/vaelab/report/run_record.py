"""What a report needs from a run folder, read once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from vaelab.errors import UserError, require
from vaelab.metrics.collapse import USED_KL
from vaelab.runs.folder import RunFolder
from vaelab.runs.status import State

Curves = dict[str, tuple[list[int], list[float]]]
IMAGES = (".svg", ".png", ".gif")  # of figures with one name, the first is shown


@dataclass(frozen=True)
class Record:
    """One run, as its folder describes it.

    Attributes:
        folder: the run folder.
        name: what reports call it.
        status: status.json.
        config: config.yaml as nested containers.
        metrics: the numbers of metrics.json by name.
        scores: name of a score -> its interval, breakdown and details in metrics.json.
        others: everything else in metrics.json.
        curves: metric -> (steps, values) of metrics.csv.
        provenance: provenance.json, one entry per start of the run.
        figures: name -> file.
    """

    folder: RunFolder
    name: str
    status: dict[str, Any]
    config: dict[str, Any]
    metrics: dict[str, float]
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    curves: Curves = field(default_factory=dict)
    provenance: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, Path] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """See `State`."""
        return self.status["state"]

    @property
    def split(self) -> str:
        """Where the main metrics were measured: "test" where there is a test set, else "val"."""
        return "test" if "test/reconstruction" in self.metrics else "val"

    def main(self, name: str) -> float | None:
        """A main metric, such as elbo or kl, on `split`."""
        return self.metrics.get(f"{self.split}/{name}")

    @property
    def kl_latent(self) -> dict[int, float]:
        """Latent, counted from 0 -> its KL in nats; empty where it was not measured."""
        prefix = f"{self.split}/kl_latent/"
        found = {k: v for k, v in self.metrics.items() if k.startswith(prefix)}
        return {int(name.removeprefix(prefix)): value for name, value in found.items()}

    def score(self, metric: str) -> dict[str, Any]:
        """The interval, breakdown and details of a score; {} where there are none."""
        return self.scores.get(score_key(metric) or "") or {}

    @property
    def measured(self) -> list[str]:
        """The keys of the scores of evaluation, such as metrics/mig."""
        return [name for name in self.metrics if score_key(name)]

    @property
    def time(self) -> str:
        """When the status was written, to the minute."""
        try:
            return datetime.fromisoformat(str(self.status["time"])).strftime("%Y-%m-%d %H:%M")
        except (KeyError, ValueError):
            return "an unknown time"


def read_run(folder: RunFolder, name: str = "", with_curves: bool = True) -> Record:
    """Read a run folder; what it does not have yet is empty.

    Args:
        folder: of the run.
        name: what reports call it, by default the name of its folder.
        with_curves: whether to read metrics.csv, which is most of a run's text.

    Raises:
        UserError: the folder holds no run, or one of its files can't be read.
    """
    status = folder.status()
    numbers = folder.read_metrics()
    _require_kind(numbers, dict, folder.metrics)
    for part in ("scores", "evaluations"):
        _require_kind(numbers.get(part) or {}, dict, folder.metrics)
    flat = {key: float(value) for key, value in numbers.items() if _is_number(value)}
    others = {k: v for k, v in numbers.items() if k not in flat and k != "scores"}
    return Record(
        folder=folder,
        name=name or folder.path.resolve().name,
        status=status,
        config=_config(folder.config),
        metrics=flat,
        scores=dict(numbers.get("scores") or {}),
        others=others,
        curves=_curves(folder) if with_curves else {},
        provenance=_provenance(folder.provenance),
        figures=_figures(folder.figures),
    )


def read_runs(folders: Sequence[RunFolder], top: Path) -> tuple[list[Record], dict[str, str]]:
    """Read runs below `top` without their curves, and say why some can't be read.

    Returns:
        (records, name of an unreadable run -> reason).
    """
    records, unreadable = [], {}
    for folder in folders:
        name = str(folder.path.relative_to(top))
        try:
            records.append(read_run(folder, name, with_curves=False))
        # Half a file raises all kinds of errors; it must not cost the report of the other runs.
        except Exception as error:
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            unreadable[name] = f"{kind}{error}"
    return records, unreadable


def score_key(metric: str) -> str | None:
    """The key of metrics/<name> or <checkpoint>/metrics/<name> in `scores`; None for other keys."""
    before, found, name = metric.partition("metrics/")
    return before + name if found else None


def is_collapsed(kl: float) -> bool:
    """Whether a latent is inactive: its KL is at most 0.1 nats, as in the verdict."""
    return not kl > USED_KL


def _config(path: Path) -> dict[str, Any]:
    """config.yaml, which has no interpolations left; ten times faster than by OmegaConf."""
    text = path.read_text(encoding="utf-8")
    try:
        content = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise UserError(
            f"expected YAML in {path}, got {error}; fix it, or move the run away."
        ) from error
    require(
        isinstance(content, dict),
        f"expected options in {path}, got a {type(content).__name__}; fix it, or move the run "
        "away.",
    )
    return content


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _provenance(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(
            f"expected JSON in {path}, got {error}; fix it, or move it away to get a report "
            "without provenance."
        ) from error
    _require_kind(content, list, path)
    return content


def _require_kind(content: Any, kind: type, path: Path) -> None:
    require(
        isinstance(content, kind),
        f"expected a JSON {'object' if kind is dict else 'list'} in {path}, got a "
        f"{type(content).__name__}; fix it, or move it away.",
    )


def _curves(folder: RunFolder) -> Curves:
    """All of metrics.csv, in order of steps."""
    curves = folder.read_curves().items()
    return {n: (sorted(curve), [curve[step] for step in sorted(curve)]) for n, curve in curves}


def _figures(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for suffix in reversed(IMAGES):
        found |= {file.stem: file for file in sorted(folder.glob(f"*{suffix}"))}
    return found
