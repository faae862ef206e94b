"""Averages over importance weights against sums written out."""

import math

import pytest
import torch

from vaelab.distributions import effective_sample_size, log_mean_weight

F64 = torch.float64


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_equal_the_sums_written_out(dim):
    log_weights = torch.randn(4, 7, 3, dtype=F64)
    w = log_weights.exp()
    torch.testing.assert_close(log_mean_weight(log_weights, dim), w.mean(dim).log())
    size = w.sum(dim).square() / w.square().sum(dim)
    torch.testing.assert_close(effective_sample_size(log_weights, dim), size)


def test_gradient_is_the_normalised_weight():
    log_weights = torch.randn(2, 6, dtype=F64, requires_grad=True)
    (gradient,) = torch.autograd.grad(log_mean_weight(log_weights).sum(), log_weights)
    torch.testing.assert_close(gradient, log_weights.exp() / log_weights.exp().sum(1, True))


def test_weights_of_any_size_neither_overflow_nor_vanish():
    weights = torch.tensor([[-5e4, -5e4, -5e4, -5e4], [0.0, -800, -800, -800]]).double()
    assert effective_sample_size(weights).tolist() == pytest.approx([4, 1])
    assert log_mean_weight(weights).tolist() == pytest.approx([-5e4, -math.log(4)])
