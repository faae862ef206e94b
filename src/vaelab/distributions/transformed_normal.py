"""The distribution of a normal variable after an invertible map, as normalizing flows have it."""

from collections.abc import Callable
from functools import cached_property
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints
from torch.types import _size

ROWS_AT_ONCE = 2**14


class TransformedNormal(Distribution):
    """The density of z = f(u), where u ~ N(mu, diag sigma^2) and f is invertible.

        log p(z) = log N(u; mu, sigma^2) - log |det df/du|,    u = f^-1(z)

    A map may be far more expensive in one direction than in the other. So the latest sample is
    cached with its log density, a by-product of sampling: `log_prob` of this very tensor returns
    it, `log_prob` of any other inverts the map. Both are exact and have the same total gradient,
    but the cached value has no separate gradient in z; for that pass a copy.

    Mean and variance have no closed form. They are averages over fixed points u, a function of
    the parameters alone: exact where f shifts and scales each latent separately.

    Args:
        base: the distribution of u, batch (*batch), event (latent,).
        transform: f, a transform of zuko: it and its `inv` have `call_and_ladj`.
        points: (num, latent), from `normal_points`.

    Shapes: z (*sample, *batch, latent), log_prob (*sample, *batch) in nats.
    Rezende and Mohamed 2015, "Variational inference with normalizing flows",
    https://arxiv.org/abs/1505.05770.
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base: Independent, transform: Any, points: Tensor) -> None:
        self.base, self.transform, self.points = base, transform, points
        self._latest: tuple[Tensor, Tensor] | None = None
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        """Draw z (*sample, *batch, latent), differentiable in all parameters."""
        u = self.base.rsample(torch.Size(sample_shape))
        z, log_determinant = _in_full_precision(self.transform.call_and_ladj, u)
        self._latest = z, self.base.log_prob(u) - log_determinant
        return z

    def sample(self, sample_shape: _size = ()) -> Tensor:
        """Draw z (*sample, *batch, latent) without gradient, the same z as `rsample` draws."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log density of z (*sample, *batch, latent): (*sample, *batch) in nats."""
        if self._latest is not None and self._latest[0] is value:
            cached = self._latest[1]
            if cached.requires_grad or not torch.is_grad_enabled():  # not drawn by `sample`
                return cached
        u, log_determinant = _in_full_precision(self.transform.inv.call_and_ladj, value)
        return self.base.log_prob(u) + log_determinant

    @property
    def mean(self) -> Tensor:
        """The mean (*batch, latent), over the fixed points."""
        return self._moments[0]

    @property
    def variance(self) -> Tensor:
        """The variance (*batch, latent), over the fixed points."""
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        mu, sigma = self.base.base_dist.loc, self.base.base_dist.scale
        mean, squares, num = torch.zeros_like(mu), torch.zeros_like(mu), 0
        # In chunks of points, since the batch may be a whole data set, and with squares about the
        # mean so far, so that small variances keep their digits (Chan, Golub and LeVeque 1979,
        # "Updating formulae and a pairwise algorithm for computing sample variances").
        size = max(1, ROWS_AT_ONCE // max(1, self.batch_shape.numel()))
        for chunk in self.points.split(size):
            noise = chunk.view(-1, *[1] * len(self.batch_shape), mu.shape[-1])
            z = _in_full_precision(self.transform, mu + sigma * noise)
            shift = z.mean(0) - mean
            squares = squares + (z - z.mean(0)).square().sum(0)
            squares = squares + shift.square() * num * len(z) / (num + len(z))
            num += len(z)
            mean = mean + shift * len(z) / num
        return mean, squares / num


def normal_points(num_pairs: int, latent_dim: int) -> Tensor:
    """Standard normal points (2 num_pairs, L), always the same ones, in pairs u, -u.

    The variance of each latent over them is exactly 1.
    """
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(num_pairs, latent_dim, generator=generator)
    half = half / half.square().mean(0).sqrt()
    return torch.cat([half, -half])


def _in_full_precision(function: Callable, u: Tensor):
    """function(u) outside autocast: a log determinant sums many logarithms."""
    with torch.autocast(u.device.type, enabled=False):
        return function(u)


def import_zuko() -> ModuleType:
    """The module `zuko`, the library of normalizing flows, imported when first needed.

    Importing it turns off the validation of all of torch's distributions; here that stays as it
    was, so that a flow does not change what other code rejects.
    """
    before = {name: Distribution.__dict__[name] for name in ("_validate_args", "arg_constraints")}
    import zuko

    for name, value in before.items():
        setattr(Distribution, name, value)
    return zuko
