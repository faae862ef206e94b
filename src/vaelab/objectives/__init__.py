"""Objectives, one file a paper."""

from vaelab.objectives.base import Objective
from vaelab.objectives.beta_vae import BetaVAE
from vaelab.objectives.elbo import ElboTerms, elbo_terms

__all__ = ["BetaVAE", "ElboTerms", "Objective", "elbo_terms"]
