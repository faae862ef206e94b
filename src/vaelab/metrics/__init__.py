"""Numbers that judge a model: pure functions of arrays, and configured metrics of a run."""

from vaelab.metrics.base import AnyMetric, Metric, Score, SweepMetric, require_applicable
from vaelab.metrics.elbo import ElboStatistics, kl_order

__all__ = [
    "AnyMetric",
    "ElboStatistics",
    "Metric",
    "Score",
    "SweepMetric",
    "kl_order",
    "require_applicable",
]
