"""Approximate posteriors q(z|x)."""

from vaelab.posteriors.base import Posterior
from vaelab.posteriors.delta import Delta
from vaelab.posteriors.full_covariance import FullCovariance
from vaelab.posteriors.gaussian import Gaussian
from vaelab.posteriors.iaf import IAF

__all__ = ["Delta", "FullCovariance", "Gaussian", "IAF", "Posterior"]
