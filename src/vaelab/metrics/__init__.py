"""Numbers that judge a model."""

from vaelab.metrics.elbo import ElboStatistics, kl_order

__all__ = ["ElboStatistics", "kl_order"]
