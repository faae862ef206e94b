"""Approximate posteriors q(z|x)."""

from vaelab.posteriors.base import Posterior
from vaelab.posteriors.categorical import Categorical, Exact
from vaelab.posteriors.delta import Delta
from vaelab.posteriors.full_covariance import FullCovariance
from vaelab.posteriors.gaussian import Gaussian
from vaelab.posteriors.iaf import IAF

__all__ = ["Categorical", "Delta", "Exact", "FullCovariance", "Gaussian", "IAF", "Posterior"]
