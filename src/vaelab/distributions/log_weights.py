"""Averages over importance weights, from their logarithms."""

import math

from torch import Tensor


def log_mean_weight(log_weights: Tensor, dim: int = -1) -> Tensor:
    """log 1/K sum_k w_k, in nats, over the dimension `dim` of size K, which is removed.

    Its gradient in log w_k is the normalised weight w_k / sum_j w_j.
    """
    return log_weights.logsumexp(dim) - math.log(log_weights.shape[dim])


def effective_sample_size(log_weights: Tensor, dim: int = -1) -> Tensor:
    """(sum_k w_k)^2 / sum_k w_k^2, from 1 to K, over the dimension `dim`, which is removed.

    Near 1 a single sample dominates the estimate, which is then well below log p(x). Kong 1992, "A
    note on importance sampling using standardized weights", University of Chicago, report 348.
    """
    return (2 * log_weights.logsumexp(dim) - (2 * log_weights).logsumexp(dim)).exp()
