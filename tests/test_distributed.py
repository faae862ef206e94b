"""Noise of the whole batch on every rank, and means over processes."""

import pytest
import torch

from vaelab.distributed import mean_over_processes, split_over_processes, standard_normal_noise
from vaelab.distributions import DiagonalNormal
from vaelab.errors import UserError


def diagonal_normal(batch):
    mu = torch.randn(batch, 3, dtype=torch.float64)
    return DiagonalNormal(mu, torch.rand_like(mu) + 0.5)


@pytest.mark.parametrize("sample_shape", [(), (4,), (2, 3)])
def test_the_ranks_together_draw_what_one_process_draws(sample_shape):
    q = diagonal_normal(6)
    torch.manual_seed(1)
    one_process = q.rsample(sample_shape)
    shards = []
    for rank in range(3):
        rows = slice(2 * rank, 2 * rank + 2)
        torch.manual_seed(1)
        with split_over_processes(rank, 3):
            shards.append(DiagonalNormal(q.mean[rows], q.stddev[rows]).rsample(sample_shape))
    assert torch.equal(torch.cat(shards, dim=-2), one_process)


def test_ends_with_its_context_even_by_an_error():
    def fail():
        with split_over_processes(1, 2):
            raise KeyError

    like = torch.zeros(4, 3)
    torch.manual_seed(1)
    expected = torch.randn(4, 3)
    with pytest.raises(KeyError):
        fail()
    torch.manual_seed(1)
    assert torch.equal(standard_normal_noise(like.shape, -2, like), expected)


def test_noise_without_a_batch_is_the_same_on_every_rank():
    noise = []
    for rank in range(2):
        torch.manual_seed(1)
        with split_over_processes(rank, 2):
            noise.append(DiagonalNormal(torch.zeros(3), torch.ones(3)).rsample())
    assert torch.equal(*noise)


def test_rank_out_of_range():
    message = r"^rank expects an integer of at least 0 and below 2, got 2"
    with pytest.raises(UserError, match=message), split_over_processes(2, 2):
        pass


def test_compiles_without_a_graph_break_and_sees_a_new_context():
    def draw(mu, sigma):
        return DiagonalNormal(mu, sigma).rsample()

    mu, sigma = torch.zeros(2, 3), torch.ones(2, 3)
    compiled = torch.compile(draw, backend="eager", fullgraph=True)
    for rank, world_size in [(0, 1), (1, 2)]:
        with split_over_processes(rank, world_size):
            torch.manual_seed(1)
            expected = draw(mu, sigma)
            torch.manual_seed(1)
            assert torch.equal(compiled(mu, sigma), expected)


def test_mean_of_one_process_is_its_own():
    x = torch.randn(3, requires_grad=True)
    mean = mean_over_processes(x)
    assert torch.equal(mean, x)
    assert not mean.requires_grad


def test_mean_over_two_processes(monkeypatch):
    x, other = torch.tensor([1.0, 5.0]), torch.tensor([3.0, 2.0])
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda total: total.add_(other))
    assert mean_over_processes(x).tolist() == [2.0, 3.5]
    assert x.tolist() == [1.0, 5.0]
