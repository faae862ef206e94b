"""Scores as metrics.json keeps them: the numbers flat, beside them what each depends on."""

from collections.abc import Mapping
from typing import Any

from vaelab.metrics import Score
from vaelab.run_folder import RunFolder


def record_scores(
    folder: RunFolder,
    metric: str,
    scores: Mapping[str, Score],
    step: int,
    identity: Mapping[str, Any],
    seconds: float,
) -> None:
    """Add the scores of one metric to metrics.json, which afterwards holds

        metrics/<score>: value
        scores: <score>: interval, per_factor, settings
        evaluations: <metric>: what was computed from what, and in how many seconds

    Args:
        metric: its name in conf/metrics.
        step: of the weights.
        identity: what the scores depend on, such as the checkpoint; `is_recorded` compares it.
    """
    prefix = name_prefix(identity["checkpoint"])
    known = {"step": step, "checkpoint": identity["checkpoint"]}
    folder.add_metrics(
        {f"{prefix}metrics/{name}": score.value for name, score in scores.items()}
        | {
            "scores": {
                f"{prefix}{name}": {
                    "interval": score.interval,
                    "per_factor": score.per_factor,
                    "settings": score.settings | known,
                }
                for name, score in scores.items()
            },
            "evaluations": {
                f"{prefix}{metric}": dict(identity)
                | {"step": step, "scores": list(scores), "seconds": round(seconds, 3)}
            },
        }
    )


def is_recorded(folder: RunFolder, metric: str, identity: Mapping[str, Any]) -> bool:
    """Whether metrics.json has the scores of this metric, of these weights and settings."""
    evaluations = folder.read_metrics().get("evaluations", {})
    known = evaluations.get(name_prefix(identity["checkpoint"]) + metric, {})
    return all(known.get(name) == value for name, value in identity.items())


def name_prefix(checkpoint: str) -> str:
    """What stands before the names of scores of another checkpoint than the last."""
    return "" if checkpoint == "last" else f"{checkpoint}/"
