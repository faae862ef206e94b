"""GECO: the weight of the KL that meets a target of the reconstruction."""

import math

import torch
from torch import Tensor

from vaelab.distributed import all_gather_batch
from vaelab.elbo import ElboTerms
from vaelab.errors import require
from vaelab.kl_penalties.base import WeightedKL


class Geco(WeightedKL):
    """The least KL with a reconstruction of at most `target` nats per image, by its multiplier.

        weight_t = beta / lambda_t,    lambda_0 = 1
        C_t = momentum * C_t-1 + (1 - momentum) * (E_x reconstruction - target),    C_0 the first's
        lambda_t+1 = lambda_t * exp(rate * C_t), within its bounds

    Rezende and Viola 2018, algorithm 1. Their loss, lambda_t * (reconstruction - target) + KL, is
    this one (with beta = 1) times lambda_t, up to a constant. Adam's steps do not depend on a
    factor of the loss, so both train alike where lambda moves slowly; while it rises theirs takes
    larger steps, while it falls smaller ones. E_x is the mean over the batch of all processes.

    beta, the objective's, is the weight at the start. The first reconstructions, far above any
    target, drive lambda to its upper bound, where the KL is nearly free; the way back takes longer
    the higher that is, so it is set low. A target that needs a weight below beta / lambda_max needs
    a higher one. The state moves in training mode alone.

    Args:
        target: nats per image, of the reconstruction as the likelihood has it.
        rate: of log lambda, per nat and step; the paper leaves it open.
        momentum: of the moving average of the constraint.
        lambda_min, lambda_max: bounds of lambda, so the weight stays within beta / lambda_max
            and beta / lambda_min.
    """

    target: Tensor
    constraint: Tensor
    log_lambda: Tensor
    num_updates: Tensor

    def __init__(
        self,
        target: float,
        rate: float = 1e-3,
        momentum: float = 0.99,
        lambda_min: float = 1e-3,
        lambda_max: float = 10.0,
    ):
        super().__init__()
        _check(target, rate, momentum, lambda_min, lambda_max)
        self.rate, self.momentum = rate, momentum
        self.bounds = math.log(lambda_min), math.log(lambda_max)
        self.register_buffer("target", torch.tensor(float(target)))
        self.register_buffer("constraint", torch.tensor(0.0))
        self.register_buffer("log_lambda", torch.tensor(0.0))
        self.register_buffer("num_updates", torch.tensor(0))

    def weight(self, beta: Tensor, terms: ElboTerms, step: int) -> Tensor:
        weight = beta * torch.exp(-self.log_lambda)
        if self.training:
            self._update(all_gather_batch(terms.reconstruction.detach()).mean())
        return weight

    @torch.no_grad()
    def _update(self, reconstruction: Tensor) -> None:
        momentum = self.momentum * (self.num_updates > 0)
        self.constraint.lerp_((reconstruction - self.target).to(self.constraint), 1 - momentum)
        self.log_lambda.add_(self.rate * self.constraint).clamp_(*self.bounds)
        self.num_updates.add_(1)


def _check(target: float, rate: float, momentum: float, low: float, high: float) -> None:
    require(
        math.isfinite(target),
        f"kl_penalty.target expects nats of the reconstruction per image, got {target}; try a little "
        "more than val/reconstruction of a run with objective=vae.",
    )
    require(0 < rate < math.inf, f"kl_penalty.rate expects a rate above 0, got {rate}; try 1e-3.")
    require(
        0 <= momentum < 1,
        f"kl_penalty.momentum expects a number in [0, 1), got {momentum}; try 0.99.",
    )
    require(
        0 < low <= 1 <= high < math.inf,
        "kl_penalty.lambda_min and kl_penalty.lambda_max expect bounds around 1, the lambda of the "
        f"start, got {low} and {high}; try 1e-3 and 10.",
    )
