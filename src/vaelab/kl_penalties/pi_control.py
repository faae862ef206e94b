"""ControlVAE: a PI controller of the KL."""

import math

import torch
from torch import Tensor

from vaelab.distributed import all_gather_batch
from vaelab.elbo import ElboTerms
from vaelab.errors import require
from vaelab.kl_penalties.annealing import rise
from vaelab.kl_penalties.base import WeightedKL


class PIControl(WeightedKL):
    """The weight of the KL that brings the KL to a target, by a non-linear PI controller.

        e_t = target_t - E_x KL(q(z|x) || p(z)),    target_t = target * min(1, t / num_steps)
        weight_t = kp / (1 + exp(e_t)) + I_t + beta_min,    I_t = I_t-1 - ki * e_t,    I_-1 = 0

    within beta_min and the beta of the objective, which is the paper's beta_max. E_x is the mean
    over the batch of all processes. Shao et al. 2020, eq. 4 and algorithm 1.

    The integral does not wind up: at a bound it keeps the value that puts the weight there, and
    leaves it with the first error of the other sign.

    The authors' settings: ki 1e-4, beta_min 0, beta_max 1 for images; ki 1e-3, beta_min 1 for
    dSprites, with a target that rises by 0.15 nats every 5,000 steps, here a straight line.

    Args:
        target: KL in nats per image, from 0 up.
        kp, ki: proportional and integral gain, per nat, the second per step.
        beta_min: lower bound of the weight.
        num_steps: of the target's rise from 0; with 0 steps it is the target from the start.

    The state moves in training mode alone.
    """

    target: Tensor
    integral: Tensor

    def __init__(
        self,
        target: float,
        kp: float = 0.01,
        ki: float = 0.001,
        beta_min: float = 0.0,
        num_steps: int = 0,
    ):
        super().__init__()
        _check(target, kp, ki, beta_min, num_steps)
        self.kp, self.ki, self.beta_min = kp, ki, beta_min
        self.rise = rise(num_steps)
        self.register_buffer("target", torch.tensor(float(target)))
        self.register_buffer("integral", torch.tensor(0.0))

    @torch.no_grad()
    def weight(self, beta: Tensor, terms: ElboTerms, step: int) -> Tensor:
        error = (
            self.target * self.rise.multiplier(step) - all_gather_batch(terms.kl.detach()).mean()
        )
        proportional = self.kp * torch.sigmoid(-error)
        others = proportional + self.beta_min
        lowest, highest = self.beta_min - others, torch.clamp(beta, min=self.beta_min) - others
        integral = torch.clamp(self.integral - self.ki * error, lowest, highest)
        if self.training:
            self.integral.copy_(integral)
        return torch.minimum(others + integral, beta)


def _check(target: float, kp: float, ki: float, beta_min: float, num_steps: int) -> None:
    require(
        0 <= target < math.inf,
        f"kl_penalty.target expects the KL in nats per image, from 0 up, got {target}; try a little "
        "less than val/kl of a run with objective=vae.",
    )
    require(0 <= kp < math.inf, f"kl_penalty.kp expects a gain of at least 0, got {kp}; try 0.01.")
    require(0 < ki < math.inf, f"kl_penalty.ki expects a gain above 0, got {ki}; try 0.001.")
    require(
        0 <= beta_min < math.inf,
        f"kl_penalty.beta_min expects a weight of at least 0, got {beta_min}; try 0.",
    )
    require(
        num_steps >= 0,
        f"kl_penalty.num_steps expects a number of steps from 0 up, got {num_steps}; try 0.",
    )
