"""Approximate posteriors q(z|x)."""

from vaelab.posteriors.base import Posterior
from vaelab.posteriors.gaussian import Gaussian

__all__ = ["Gaussian", "Posterior"]
