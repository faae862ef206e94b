"""GECO: constrained optimisation, the least KL that meets a target of the reconstruction."""

import math

import torch
from torch import Tensor

from vaelab.distributed import all_gather_batch
from vaelab.elbo import ElboTerms
from vaelab.errors import require, require_range
from vaelab.kl_penalties.base import WeightedKL


class Geco(WeightedKL):
    """The least KL with a reconstruction of at most `target`, by its Lagrange multiplier lambda.

        weight_t = beta / lambda_t,    lambda_0 = 1
        C_t = momentum * C_t-1 + (1 - momentum) * (E_x reconstruction - target)
        lambda_t+1 = lambda_t * exp(rate * C_t), clamped to [lambda_min, lambda_max]

    C_0 is the first step's own value. E_x is the mean over the batch of all processes.
    Rezende and Viola 2018, "Taming VAEs", algorithm 1, https://arxiv.org/abs/1810.00597.

    The paper's loss, lambda_t * (reconstruction - target) + KL, is this one (with beta = 1) times
    lambda_t, up to a constant. Adam's steps do not depend on the scale of the loss, so both train
    alike while lambda changes slowly; the paper's loss takes larger steps while lambda rises, and
    smaller ones while it falls.

    The objective's beta is the weight at the start. The first reconstructions, far above any
    target, drive lambda to its upper bound, where the KL has almost no weight; the way back takes
    longer the higher that bound is, so it is set low. A target that needs a weight below
    beta / lambda_max needs a higher one. lambda changes in training mode only.

    Args:
        target: nats per image of the reconstruction, which includes the constants of the
            likelihood: a little more than a plain VAE reaches.
        rate: of log lambda, per nat and step, above 0; the paper does not give it.
        momentum: of the moving average of the constraint, in [0, 1).
        lambda_min, lambda_max: bounds of lambda, in (0, 1] and from 1 up, so that the weight stays
            within beta / lambda_max and beta / lambda_min.

    Raises:
        UserError: an argument out of its range.
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
        require(
            math.isfinite(target),
            f"target expects a finite reconstruction in nats per image, got {target}; try a little "
            "more than the reconstruction of a plain VAE.",
        )
        require_range("rate", rate, above=0, unit="per nat and step", example=1e-3)
        require_range("momentum", momentum, at_least=0, below=1, example=0.99)
        require_range("lambda_min", lambda_min, above=0, at_most=1, example=1e-3)
        require_range("lambda_max", lambda_max, at_least=1, example=10.0)
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
