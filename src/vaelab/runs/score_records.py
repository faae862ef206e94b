"""Scores in metrics.json: the values under flat names, beside them what each depends on."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from vaelab.metrics import Score
from vaelab.runs.folder import RunFolder


def score_identity(
    config: Any, weights: str, data_checksum: str, checkpoint: str
) -> dict[str, Any]:
    """What the scores of a metric depend on.

    Args:
        config: the settings of the metric.
        weights: `weights_digest` of the model.
        data_checksum: of its data.
        checkpoint: "last", "best", or the name of another file.
    """
    return {
        "config": config,
        "weights": weights,
        "data_checksum": data_checksum,
        "checkpoint": checkpoint,
        "versions": {name: version(name) for name in ("vaelab", "scikit-learn")},
    }


def record_scores(
    folder: RunFolder,
    metric: str,
    scores: Mapping[str, Score],
    step: int,
    identity: Mapping[str, Any],
    seconds: float,
) -> None:
    """Add the scores of one metric to metrics.json:

        metrics/<score>: value
        scores: <score>: interval, breakdown, details
        evaluations: <metric>: `identity`, step, scores, seconds

    Args:
        metric: its name in conf/metrics.
        step: of the weights.
        identity: `score_identity`, which `is_recorded` compares.
    """
    prefix = name_prefix(identity["checkpoint"])
    weights = {"step": step, "checkpoint": identity["checkpoint"]}
    values = {f"{prefix}metrics/{name}": score.value for name, score in scores.items()}
    records = {
        f"{prefix}{name}": {
            "interval": score.interval,
            "breakdown": dict(score.breakdown),
            "details": {**score.details, **weights},
        }
        for name, score in scores.items()
    }
    evaluation = {**identity, "step": step, "scores": list(scores), "seconds": round(seconds, 3)}
    folder.add_metrics(
        {**values, "scores": records, "evaluations": {f"{prefix}{metric}": evaluation}}
    )


def is_recorded(folder: RunFolder, metric: str, identity: Mapping[str, Any]) -> bool:
    """Whether metrics.json has the scores of this metric for this `score_identity`."""
    evaluations = folder.read_metrics().get("evaluations", {})
    known = evaluations.get(name_prefix(identity["checkpoint"]) + metric, {})
    return all(known.get(name) == value for name, value in identity.items())


def name_prefix(checkpoint: str) -> str:
    """The prefix of the names of scores: none for the last checkpoint, "best/" for the best."""
    return "" if checkpoint == "last" else f"{checkpoint}/"
