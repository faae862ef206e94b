"""Densities of the aggregate posterior q(z) from a minibatch, and its total correlation.

Chen et al. 2018, "Isolating sources of disentanglement in variational autoencoders",
https://arxiv.org/abs/1802.04942.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Normal

from vaelab.errors import require

LogWeights = Callable[[int, int, Tensor], Tensor]


def pair_log_densities(z: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    """log q(z_ij | x_n) in nats: z (M, L), mu and sigma (B, L) -> (M, B, L)."""
    return Normal(mu, sigma, validate_args=False).log_prob(z.unsqueeze(1))


def aggregate(pairs: Tensor, log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """log q(z_i) (M,) and log q(z_ij) (M, L) in nats, mixtures with the given weights.

        q(z_i) = sum_n W_in prod_j q(z_ij | x_n),    q(z_ij) = sum_n W_in q(z_ij | x_n)

    W enters each mixture once; added to every latent before their sum, it would count L times in
    log q(z).

    pairs: (M, B, L), from `pair_log_densities`. log_weights: (M, B), log W.
    """
    joint = (log_weights + pairs.sum(-1)).logsumexp(1)
    return joint, (log_weights.unsqueeze(-1) + pairs).logsumexp(1)


def total_correlation(joint: Tensor, marginals: Tensor) -> Tensor:
    """TC = KL(q(z) || prod_j q(z_j)) = E_q(z) [log q(z) - sum_j log q(z_j)] in nats, a scalar.

    joint: (M,), log q(z_i) of samples z_i of q(z). marginals: (M, L), log q(z_ij).
    """
    return (joint - marginals.sum(-1)).mean()


def exact(z: Tensor, mu: Tensor, sigma: Tensor, chunk: int = 1024) -> tuple[Tensor, Tensor]:
    """log q(z_i) (M,) and log q(z_ij) (M, L) with q(z) = 1/N sum_n q(z|x_n) over all N.

    z: (M, L). mu, sigma: (N, L) of the whole data set, processed `chunk` images at a time.

    With gradients, in the dtype of z. For arrays `vaelab.metrics.aggregate_posterior` evaluates the
    same mixtures without gradients, in float64 and by matrix products, at least 4 times faster.
    """
    log_n = math.log(len(mu))
    parts = [
        aggregate(pair_log_densities(z, some_mu, some_sigma), z.new_full((1, 1), -log_n))
        for some_mu, some_sigma in zip(mu.split(chunk), sigma.split(chunk), strict=True)
    ]
    joint, marginals = (torch.stack(part).logsumexp(0) for part in zip(*parts, strict=True))
    return joint, marginals


def mss(batch_size: int, num_train: int, like: Tensor) -> Tensor:
    """log W (B, B) of minibatch stratified sampling; the rows of W sum to 1.

        W_ii = 1/N,    W_in = (N - 1) / (N (B - 1))  for n != i

    z_i was drawn from q(z|x_i), so x_i gets the weight 1/N that it has in q(z) = 1/N q(z|x_i) +
    (N-1)/N times the mean over the other images, and the B - 1 others of the batch stand for those.
    The densities are unbiased where these are a random sample of the others; sampling batches with
    replacement departs from that by a term of order 1/N.
    Chen et al. 2018, app. C.2 (number not checked), give one of the others a smaller weight than
    the rest; this is the mean over which one.

    Raises:
        UserError: a batch of one image.
    """
    require(
        batch_size >= 2,
        f"batch_size of a total correlation expects at least 2 images, got {batch_size}; try 64.",
    )
    others = (num_train - 1) / (num_train * (batch_size - 1))
    weights = like.new_full((batch_size, batch_size), others)
    return weights.fill_diagonal_(1 / num_train).log()


def mws(batch_size: int, num_train: int, like: Tensor) -> Tensor:
    """log W (B, B) of minibatch weighted sampling, W_in = 1 / (N B).

    W sums to 1/N, so that log q(z_ij) is too low by about ln N and the total correlation too high
    by up to L ln N. Only its gradient is useful.
    Chen et al. 2018, eq. 3 and app. C.1 (numbers not checked).
    """
    return like.new_full((batch_size, batch_size), -math.log(num_train * batch_size))


def constant_free(batch_size: int, num_train: int, like: Tensor) -> Tensor:
    """log W = 0 (B, B): `mws` without its constant, hence with the same gradient.

    The total correlation is lower than that of `mws` by (L - 1) ln(N B), mostly below zero.
    The beta-TCVAE of disentanglement_lib: Locatello et al. 2019, https://arxiv.org/abs/1811.12359.
    """
    return like.new_zeros(batch_size, batch_size)


LOG_WEIGHTS: dict[str, LogWeights] = {"constant_free": constant_free, "mss": mss, "mws": mws}
