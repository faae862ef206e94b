"""Numbers that judge a model: pure functions of arrays, and configured metrics of a run."""

from vaelab.metrics.base import Metric, Score
from vaelab.metrics.elbo import ElboStatistics, kl_order

__all__ = ["ElboStatistics", "Metric", "Score", "kl_order"]
