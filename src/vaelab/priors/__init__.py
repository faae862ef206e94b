"""Priors p(z)."""

from vaelab.priors.base import Prior
from vaelab.priors.categorical import Categorical
from vaelab.priors.conditional_normal import ConditionalNormal
from vaelab.priors.flow import Flow
from vaelab.priors.mixture import Mixture
from vaelab.priors.standard_normal import StandardNormal
from vaelab.priors.vamp import Vamp

__all__ = ["Categorical", "ConditionalNormal", "Flow", "Mixture", "Prior", "StandardNormal", "Vamp"]
