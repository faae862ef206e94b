"""Which runs a report is about, and which of them is the best."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vaelab import metrics
from vaelab.errors import UserError, nearest
from vaelab.report.groups import Floats, Group
from vaelab.report.run_record import Record, score_key
from vaelab.report.settings import settings, shown

LOWER_IS_BETTER = ("reconstruction", "kl", "loss", "bits_per_dim", "seconds")
DEFAULTS = ("val/elbo", "val/reconstruction")  # autoencoders have no ELBO


def where(records: Sequence[Record], conditions: Sequence[str]) -> list[Record]:
    """The runs whose settings are as conditions such as objective.beta=4 say.

    Names of classes may be typed as on the command line of train.py, data=fashion_mnist, or in
    full.

    Raises:
        UserError: no setting of that name, or no run is left.
    """
    rows = [settings(record) for record in records]
    kept = list(range(len(records)))
    for condition in conditions:
        name, equals, value = condition.partition("=")
        known = {key for row in rows for key in row}
        if not equals or name not in known:
            near = nearest(name, known)
            raise UserError(
                f"--where expects setting=value, got {condition}, and no run has a setting {name}; "
                f"{'did you mean ' + near if near else 'see config.yaml of a run'}."
            )
        values = sorted({str(shown(rows[i].get(name))) for i in kept})
        kept = [i for i in kept if _same(rows[i].get(name), value)]
        if not kept:
            raise UserError(
                f"--where {condition} expects runs of which some have {value}, got "
                f"{', '.join(values[:10])}; choose one of these."
            )
    return [records[i] for i in kept]


def _same(value: Any, typed: str) -> bool:
    try:
        return float(value) == float(typed)
    except (TypeError, ValueError):
        return _bare(typed) in (_bare(value), _bare(shown(value)))


def _bare(value: Any) -> str:
    return str(value).lower().replace("_", "")


def criterion(group: Group, by: str | None) -> str | None:
    """The key in metrics.json that runs are ranked by; None where no run has such a number."""
    candidates = DEFAULTS if by is None else (by,)
    return next((key for key in candidates if np.isfinite(group.column(key)).any()), None)


def ranked(group: Group, key: str) -> list[int]:
    """The rows of the runs that have the number, the best first."""
    values: Floats = group.column(key)
    rows = np.flatnonzero(np.isfinite(values))
    sign = 1 if higher_is_better(group.records, key) else -1
    return rows[np.argsort(-sign * values[rows], kind="stable")].tolist()


def higher_is_better(records: Sequence[Record], key: str) -> bool:
    """What the metric that a number is of says; of others, their name."""
    told = getattr(metric_class(records, key), "higher_is_better", None)
    if told is not None:
        return bool(told)
    name = key.rpartition("/")[2]
    return name not in LOWER_IS_BETTER and not key.partition("/")[2].startswith("kl_latent")


def metric_class(records: Sequence[Record], key: str) -> Any:
    """The class of the metric that a score of metrics.json was computed by; None if unknown."""
    score = score_key(key)
    for record in records if score else ():
        for entry in (record.others.get("evaluations") or {}).values():
            if isinstance(entry, dict) and (score or "").rpartition("/")[2] in entry.get(
                "scores", ()
            ):
                target = str((entry.get("config") or {}).get("_target_", ""))
                return getattr(metrics, target.rpartition(".")[2], None)
    return None


def require_number(records: Sequence[Record], by: str | None) -> None:
    """Refuse to rank runs by a number that none has.

    Raises:
        UserError: naming the nearest ones.
    """
    known = {key for record in records for key in record.metrics}
    if by is not None and known and by not in known:
        near = nearest(by, known)
        raise UserError(
            f"--by expects a number of metrics.json, got {by}, which no run has; "
            f"{'did you mean ' + near if near else 'such as val/elbo or metrics/mig'}."
        )
