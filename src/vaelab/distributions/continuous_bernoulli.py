"""The continuous Bernoulli, stable for every logit."""

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size

# Up to this |logit| the closed forms lose digits to cancellation; the series are exact to 1e-11.
SMALL = 0.5


class ContinuousBernoulli(Distribution):
    """The density on [0, 1] that is log-linear in x; lambda = sigmoid(logits) is the paper's.

        p(x) = C(lambda) lambda^x (1 - lambda)^(1-x) = exp(l x - A(l)),   A(l) = log((e^l - 1) / l)

    torch's own class clamps lambda, so it is not normalised beyond |l| = 16 in float32, and near
    lambda = 1/2 its float32 gradient has errors larger than itself. In terms of l only l = 0 needs
    care: there A(l) = l/2 + l^2/24 - l^4/2880 + ...

    logits: (*batch). log_prob: nats, a log density.
    Loaiza-Ganem and Cunningham 2019, "The continuous Bernoulli: fixing a pervasive error in
    variational autoencoders", sec. 3, https://arxiv.org/abs/1907.06845.
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean A'(l) = 1 / (1 - e^-l) - 1/l (*batch)."""
        small, square = self._small(), self.logits.square()
        series = 1 / 12 - square * (1 / 720 - square * (1 / 30240 - square / 1209600))
        size = self.logits.abs().clamp(min=SMALL)
        above_half = -1 / torch.expm1(-size) - 1 / size - 0.5
        return 0.5 + torch.where(small, self.logits * series, self.logits.sign() * above_half)

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        """Draw x (*sample, *batch) by inverting F(x) = (e^(l x) - 1) / (e^l - 1)."""
        shape = self._extended_shape(sample_shape)
        u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        size = self.logits.abs().clamp(min=1e-4)  # below, x = u to float32 precision
        towards_zero = -torch.log1p(u * torch.expm1(-size)) / size
        return torch.where(self.logits > 0, 1 - towards_zero, towards_zero)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log density of `value` (*batch) in nats."""
        small, square = self._small(), self.logits.square()
        series = square * (1 / 24 - square * (1 / 2880 - square * (1 / 181440 - square / 9676800)))
        size = self.logits.abs().clamp(min=SMALL)
        closed_form = torch.log(-torch.expm1(-size) / size)
        linear = torch.where(small, 0.5 * self.logits, self.logits.relu())
        # The two large terms first: their difference is small where x is likely.
        return (self.logits * value - linear) - torch.where(small, series, closed_form)

    def _small(self) -> Tensor:
        return self.logits.abs() <= SMALL  # at SMALL itself the clamps have no gradient
