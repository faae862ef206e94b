"""Objectives, one file a paper."""

from vaelab.objectives.base import Objective
from vaelab.objectives.beta_vae import BetaVAE

__all__ = ["BetaVAE", "Objective"]
