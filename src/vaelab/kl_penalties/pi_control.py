"""ControlVAE: KL control by a PI controller."""

import math

import torch
from torch import Tensor

from vaelab.distributed import all_gather_batch
from vaelab.elbo import ElboTerms
from vaelab.errors import require, require_range
from vaelab.kl_penalties.annealing import linear_rise
from vaelab.kl_penalties.base import WeightedKL


class PIControl(WeightedKL):
    """The weight of the KL that brings the KL to a target, by a non-linear PI controller.

        e_t = target_t - E_x KL(q(z|x) || p(z)),    target_t = target * min(1, t / num_steps)
        weight_t = kp / (1 + exp(e_t)) + I_t + beta_min,    I_t = I_t-1 - ki * e_t,    I_-1 = 0

    clamped to [beta_min, beta], where the objective's beta is the paper's beta_max. E_x is the mean
    over the batch of all processes. Shao et al. 2020, "ControlVAE: controllable variational
    autoencoder", eq. 4 and algorithm 1 (numbers not checked), https://arxiv.org/abs/2004.05988.

    Without integral windup: at a bound the integral keeps the value that puts the weight there, and
    leaves it with the first error of the other sign. It changes in training mode only.

    The authors' settings: ki 1e-4, beta_min 0, beta_max 1 for images; ki 1e-3, beta_min 1 for
    dSprites, with a target that rises by 0.15 nats every 5,000 steps, here a straight line.

    Args:
        target: KL in nats per image, at least 0: a little less than that of a plain VAE.
        kp, ki: proportional gain (at least 0) and integral gain (above 0), per nat, the second also
            per step.
        beta_min: lower bound of the weight, at least 0.
        num_steps: length of the target's rise from 0; with 0 steps it is the target from the start.

    Raises:
        UserError: an argument out of its range.
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
        require(
            0 <= target < math.inf,
            f"target expects a KL of at least 0 nats per image, got {target}; try a little less "
            "than the KL of a plain VAE.",
        )
        require_range("kp", kp, at_least=0, unit="per nat", example=0.01)
        require_range("ki", ki, above=0, unit="per nat and step", example=0.001)
        require_range("beta_min", beta_min, at_least=0, example=0.0)
        self.kp, self.ki, self.beta_min = kp, ki, beta_min
        self.rise = linear_rise(num_steps)
        self.register_buffer("target", torch.tensor(float(target)))
        self.register_buffer("integral", torch.tensor(0.0))

    @torch.no_grad()
    def weight(self, beta: Tensor, terms: ElboTerms, step: int) -> Tensor:
        error = (
            self.target * self.rise.multiplier(step) - all_gather_batch(terms.kl.detach()).mean()
        )
        rest = self.kp * torch.sigmoid(-error) + self.beta_min
        lowest, highest = self.beta_min - rest, torch.clamp(beta, min=self.beta_min) - rest
        integral = torch.clamp(self.integral - self.ki * error, lowest, highest)
        if self.training:
            self.integral.copy_(integral)
        return torch.minimum(rest + integral, beta)
