"""How the cost of the KL moves over training."""

from vaelab.schedules.base import Factor, Schedule, Weight
from vaelab.schedules.capacity import Capacity, check_capacity
from vaelab.schedules.factors import Constant, Cyclic, Linear
from vaelab.schedules.free_bits import FreeBits
from vaelab.schedules.geco import Geco
from vaelab.schedules.pi_control import PIControl

__all__ = [
    "Capacity",
    "Constant",
    "Cyclic",
    "Factor",
    "FreeBits",
    "Geco",
    "Linear",
    "PIControl",
    "Schedule",
    "Weight",
    "check_capacity",
]
