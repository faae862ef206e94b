"""The Kullback-Leibler divergence, in closed form where there is one."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vaelab.distributions.delta import Delta


def kl_divergence(q: Distribution, p: Distribution, z: Tensor | None = None) -> Tensor:
    """The divergence KL(q || p) = E_q[log q(z) - log p(z)] in nats, (*batch).

    The closed form where torch registers one, else the Monte Carlo average over the given
    samples z (*sample, *batch, latent) of q; where none are given, over a single one drawn here.
    NaN, "not defined", where q is a `Delta`, whose divergence is infinite.
    """
    if isinstance(q, Delta):
        batch = torch.broadcast_shapes(q.batch_shape, p.batch_shape)
        return q.mean.new_full(batch, math.nan)
    exact = _closed_form(q, p)
    if exact is not None:
        return exact
    if z is None:
        z = q.rsample()
    log_ratio = q.log_prob(z) - p.log_prob(z)
    return log_ratio.reshape(-1, *log_ratio.shape[log_ratio.dim() - len(q.batch_shape) :]).mean(0)


def kl_per_latent(q: Distribution, p: Distribution) -> Tensor | None:
    """The divergence of each latent, KL(q_j || p_j) in nats, (*batch, latent).

    Its sum over latents is `kl_divergence(q, p)`. None unless both have independent latents
    (`Independent` over one event dimension) with a closed form.
    """
    for distribution in (q, p):
        if (
            not isinstance(distribution, Independent)
            or distribution.event_shape != (distribution.base_dist.batch_shape[-1:])
        ):
            return None
    exact = _closed_form(q.base_dist, p.base_dist)  # type: ignore[attr-defined]
    if exact is None:
        return None
    return exact.expand(torch.broadcast_shapes(q.batch_shape, p.batch_shape) + q.event_shape)


def _closed_form(q: Distribution, p: Distribution) -> Tensor | None:
    try:
        return torch.distributions.kl_divergence(q, p)
    except NotImplementedError:  # torch has registered none for the pair
        return None
