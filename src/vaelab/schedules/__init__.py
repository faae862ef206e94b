"""How the cost of the KL moves over training."""

from vaelab.schedules.base import Factor, Schedule, Weight
from vaelab.schedules.factors import Constant, Cyclic, Linear

__all__ = ["Constant", "Cyclic", "Factor", "Linear", "Schedule", "Weight"]
