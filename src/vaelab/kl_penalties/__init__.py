"""KL penalties: what stands in the loss where beta * KL stands in that of the beta-VAE."""

from vaelab.kl_penalties.annealing import Constant, Cyclic, Linear
from vaelab.kl_penalties.base import AnnealedKL, KLPenalty, WeightedKL
from vaelab.kl_penalties.capacity import Capacity
from vaelab.kl_penalties.free_bits import FreeBits
from vaelab.kl_penalties.geco import Geco
from vaelab.kl_penalties.pi_control import PIControl

__all__ = [
    "Capacity",
    "Constant",
    "Cyclic",
    "AnnealedKL",
    "FreeBits",
    "Geco",
    "Linear",
    "PIControl",
    "KLPenalty",
    "WeightedKL",
]
