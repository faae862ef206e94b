"""Normals fitted to a mixture of normals by forward and by reverse KL, exact by quadrature."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from vaelab.errors import require, require_choice, require_range

DIVERGENCES = ("forward", "reverse")
NUM_NODES = {1: 801, 2: 121}  # of the quadrature in each of 1 or 2 dimensions
REACH = 8.0  # of the quadrature, in standard deviations: beyond lies 1e-15 of the mass
SAME = 1e-3  # in standard deviations of q: two optima no further apart are one


def normal_mixture(
    weights: Sequence[float] | Tensor, means: Tensor, covariances: Tensor
) -> MixtureSameFamily:
    """p(x) = sum_k w_k N(x; m_k, S_k), in float64.

    Args:
        weights: w (K,), at least 0 and adding up to 1.
        means: m (K, D).
        covariances: S (K, D, D), or the variances (K, D) of independent dimensions.

    Raises:
        UserError: other shapes, weights that are no probabilities, or a covariance that is not
            positive definite.
    """
    w, m, s = (torch.as_tensor(v, dtype=torch.float64) for v in (weights, means, covariances))
    s = torch.diag_embed(s) if s.ndim == 2 else s
    require(
        m.ndim == 2 and w.shape == m.shape[:1] and s.shape == (*m.shape, m.shape[1]),
        f"a mixture expects weights (K,), means (K, D) and covariances (K, D, D) or (K, D), got "
        f"{tuple(w.shape)}, {tuple(m.shape)} and {tuple(s.shape)}; give one row per component.",
    )
    require(
        bool((w >= 0).all()) and math.isclose(float(w.sum()), 1, abs_tol=1e-9),
        f"weights expects probabilities that add up to 1, got {w.tolist()}; divide by their sum.",
    )
    factor, failed = torch.linalg.cholesky_ex(s)
    require(
        not bool(failed.any()),
        "covariances expects positive definite matrices, got one that is not; give variances "
        "above 0.",
    )
    return MixtureSameFamily(Categorical(w), MultivariateNormal(m, scale_tril=factor))


def forward_kl(p: MixtureSameFamily, q: MultivariateNormal) -> Tensor:
    """KL(p || q) = E_p [log p(x) - log q(x)] in nats: mass covering, large where q misses p.

    E_p log p(x) by quadrature around every component; E_p log q(x) in closed form.

    Args:
        p: the mixture, in one or two dimensions.
        q: the normal, batch () or (N,).
    """
    normals = components(p)
    t, weights = _nodes(p.event_shape[0])
    x = normals.loc[:, None] + t @ normals.scale_tril.mT  # (K, T, D)
    negative_entropy = p.mixture_distribution.probs @ (p.log_prob(x) @ weights)
    mean, covariance = moments(p)
    spread = covariance + _outer(mean - q.loc)
    inverse = torch.cholesky_inverse(q.scale_tril)
    trace = (inverse * spread).sum((-2, -1))
    return negative_entropy + 0.5 * (trace + _log_determinant(q) + _log_2pi(q))


def reverse_kl(q: MultivariateNormal, p: MixtureSameFamily) -> Tensor:
    """KL(q || p) = E_q [log q(x) - log p(x)] in nats: mode seeking, large where p misses q.

    The term of the ELBO. E_q log p(x) by quadrature at x = mu + C t, smooth in mu and C; the
    entropy of q in closed form.

    Args:
        q: the normal, batch () or (N,).
        p: the mixture, in one or two dimensions.
    """
    t, weights = _nodes(p.event_shape[0])
    x = q.loc[..., None, :] + t @ q.scale_tril.mT  # (*batch, T, D)
    entropy = 0.5 * (_log_determinant(q) + _log_2pi(q) + q.event_shape[0])
    return -entropy - p.log_prob(x) @ weights


def components(p: MixtureSameFamily) -> MultivariateNormal:
    """The K normals of a mixture, batch (K,)."""
    normals = p.component_distribution
    assert isinstance(normals, MultivariateNormal)
    return normals


def moments(p: MixtureSameFamily) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of a mixture of normals."""
    normals, weights = components(p), p.mixture_distribution.probs
    mean = weights @ normals.loc
    within_and_between = normals.covariance_matrix + _outer(normals.loc - mean)
    return mean, (weights[:, None, None] * within_and_between).sum(0)


def match_moments(p: MixtureSameFamily, *, diagonal: bool = False) -> MultivariateNormal:
    """The normal of least KL(p || q): it has the mean and the covariance of p.

    Of an exponential family the optimum has the expected statistics of p; Wainwright and Jordan
    2008, "Graphical models, exponential families, and variational inference",
    https://doi.org/10.1561/2200000001.

    Args:
        p: the mixture.
        diagonal: of the normals with independent dimensions, whose variances are those of p.
    """
    mean, covariance = moments(p)
    return MultivariateNormal(mean, torch.diag(covariance.diag()) if diagonal else covariance)


@dataclass(frozen=True)
class Fit:
    """A normal q that is a local optimum, with both divergences at it in nats.

    Attributes:
        q: the normal.
        forward: KL(p || q).
        reverse: KL(q || p).
    """

    q: MultivariateNormal
    forward: float
    reverse: float


def fit(
    divergence: str,
    p: MixtureSameFamily,
    start: MultivariateNormal | None = None,
    *,
    diagonal: bool = False,
) -> Fit:
    """Descend to a local optimum of a divergence by L-BFGS, with gradients through the quadrature.

    Args:
        divergence: "forward", KL(p || q), or "reverse", KL(q || p).
        p: the mixture.
        start: where to start; by default at the moments of p.
        diagonal: fit a normal with independent dimensions.

    Raises:
        UserError: an unknown divergence.
    """
    require_choice("divergence", divergence, DIVERGENCES)
    start = start or match_moments(p)
    factor = start.scale_tril.detach()
    mean = start.loc.detach().clone().requires_grad_()
    log_std = factor.diag().log().requires_grad_()
    below = torch.zeros_like(factor) if diagonal else factor.tril(-1)
    parameters = [mean, log_std] + ([] if diagonal else [below.requires_grad_()])

    def normal() -> MultivariateNormal:
        scale = below.tril(-1) + torch.diag(log_std.exp())
        return MultivariateNormal(mean, scale_tril=scale, validate_args=False)

    def loss() -> Tensor:
        return forward_kl(p, normal()) if divergence == "forward" else reverse_kl(normal(), p)

    _minimise(loss, parameters)
    with torch.no_grad():
        scale = normal().scale_tril
        return evaluate(p, MultivariateNormal(mean.detach(), scale_tril=scale))


def evaluate(p: MixtureSameFamily, q: MultivariateNormal) -> Fit:
    """A normal with both divergences from a mixture."""
    return Fit(q, float(forward_kl(p, q)), float(reverse_kl(q, p)))


def reverse_optima(p: MixtureSameFamily, *, diagonal: bool = False) -> list[Fit]:
    """Local optima of KL(q || p), lowest first: from each component and from the moments of p."""
    normals = components(p)
    starts = [
        MultivariateNormal(m, scale_tril=c)
        for m, c in zip(normals.loc, normals.scale_tril, strict=True)
    ]
    fits = [fit("reverse", p, q, diagonal=diagonal) for q in [*starts, match_moments(p)]]
    found: list[Fit] = []
    for one in sorted(fits, key=lambda each: each.reverse):
        distances = [_distance(one.q, other.q) for other in found]
        if all(distance > SAME for distance in distances):
            found.append(one)
    return found


def forward_landscape(p: MixtureSameFamily, means: Tensor) -> tuple[Tensor, Tensor]:
    """KL(p || N(mu, sigma^2)) over mu, at the best sigma of each: divergences (N,), sigmas (N,).

    In one dimension: sigma^2 = E_p (x - mu)^2.
    """
    _require_line(p)
    mean, variance = moments(p)
    loc = means.double()
    std = (variance.squeeze() + (loc - mean).square()).sqrt()
    q = MultivariateNormal(loc[:, None], scale_tril=std[:, None, None])
    return forward_kl(p, q), std


def reverse_landscape(
    p: MixtureSameFamily, means: Tensor, std: float | None = None
) -> tuple[Tensor, Tensor]:
    """KL(N(mu, sigma^2) || p) over mu, in one dimension: divergences (N,) and sigmas (N,).

    Args:
        p: the mixture, in one dimension.
        means: mu (N,).
        std: sigma for all mu; by default the best one of each mu, so that the minima over mu are
            the optima of `reverse_optima`.

    Raises:
        UserError: p has two dimensions, or std is not above 0.
    """
    _require_line(p)
    loc = means.double()[:, None]
    if std is not None:
        require_range("std", std, above=0, example=1.0)
        log_std = loc.new_full((len(loc),), math.log(std))
        return _reverse_kl_1d(p, loc, log_std), log_std.exp()
    with torch.no_grad():
        narrow = components(p).stddev.min().log() - 1
        wide = 0.5 * moments(p)[1].log().squeeze() + 1
        grid = torch.linspace(float(narrow), float(wide), 21, dtype=torch.float64)
        values = torch.stack([_reverse_kl_1d(p, loc, each.expand(len(loc))) for each in grid])
    log_std = grid[values.argmin(0)].requires_grad_()
    _minimise(lambda: _reverse_kl_1d(p, loc, log_std).sum(), [log_std])
    with torch.no_grad():
        return _reverse_kl_1d(p, loc, log_std), log_std.exp()


def _require_line(p: MixtureSameFamily) -> None:
    require(
        p.event_shape[0] == 1,
        f"p expects one dimension for a landscape, got {p.event_shape[0]}; take a marginal.",
    )


def _reverse_kl_1d(p: MixtureSameFamily, loc: Tensor, log_std: Tensor) -> Tensor:
    factor = log_std.exp()[:, None, None]
    return reverse_kl(MultivariateNormal(loc, scale_tril=factor, validate_args=False), p)


def _minimise(loss: Callable[[], Tensor], parameters: list[Tensor]) -> None:
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=200, tolerance_grad=1e-10, tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


@lru_cache
def _nodes(dim: int) -> tuple[Tensor, Tensor]:
    """Nodes t (T, D) and weights (T,) of the trapezoid rule for E f(t), t ~ N(0, I).

    Its error falls faster than any power of the spacing, since the integrand and all its
    derivatives vanish at both ends; Gauss-Hermite nodes are too far apart between two modes.
    """
    require(
        dim in NUM_NODES,
        f"a quadrature expects one or two dimensions, got {dim}; estimate with samples instead.",
    )
    line = torch.linspace(-REACH, REACH, NUM_NODES[dim], dtype=torch.float64)
    t = torch.cartesian_prod(*[line] * dim).reshape(-1, dim)
    return t, (-0.5 * t.square().sum(1)).softmax(0)


def _distance(a: MultivariateNormal, b: MultivariateNormal) -> float:
    """The largest difference of mean and of scale, in standard deviations of a."""
    means = (a.loc - b.loc).abs() / a.stddev
    scales = (a.scale_tril - b.scale_tril).abs() / a.stddev[:, None]
    return max(float(means.max()), float(scales.max()))


def _outer(x: Tensor) -> Tensor:
    return x[..., :, None] * x[..., None, :]


def _log_determinant(q: MultivariateNormal) -> Tensor:
    return 2 * q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _log_2pi(q: MultivariateNormal) -> float:
    return q.event_shape[0] * math.log(2 * math.pi)
