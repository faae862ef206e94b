"""Which images make batch t."""

import pytest
import torch

from vaelab.data.batches import BatchSampler, shard


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize(("num_images", "batch_size"), [(12, 4), (10, 4), (3, 8)])
def test_batch_is_a_function_of_the_step_in_any_order(num_images, batch_size, replacement):
    forward = BatchSampler(num_images, batch_size, 0, replacement=replacement)
    batches = [forward(step) for step in range(20)]
    for step in [19, 0, 7, 7, 3, 18]:
        fresh = BatchSampler(num_images, batch_size, 0, replacement=replacement)
        assert torch.equal(forward(step), batches[step])
        assert torch.equal(fresh(step), batches[step])


@pytest.mark.parametrize("batch_size", [1, 4, 5, 7, 12, 29, 100])
def test_every_pass_has_every_image_once_whether_or_not_batches_divide_it(batch_size):
    sampler, num_images, num_passes = BatchSampler(12, batch_size, 3), 12, 50
    num_steps = -(-num_images * num_passes // batch_size)
    stream = torch.cat([sampler(step) for step in range(num_steps)])
    assert len(stream) == num_steps * batch_size
    for one_pass in stream[: num_images * num_passes].view(num_passes, num_images):
        assert one_pass.sort().values.tolist() == list(range(num_images))


def test_passes_differ_and_so_do_seeds():
    def orders(seed):
        return [BatchSampler(50, 50, seed)(step).tolist() for step in range(3)]

    assert len({tuple(order) for seed in range(3) for order in orders(seed)}) == 9


def test_every_image_comes_first_as_often_as_any_other():
    sampler = BatchSampler(5, 5, 0)
    first = torch.tensor([sampler(step)[0] for step in range(2000)])
    assert (first.bincount() - 400).abs().max() < 5 * (2000 * 0.2 * 0.8) ** 0.5


def test_draws_with_replacement_are_uniform_and_independent():
    sampler = BatchSampler(10, 100, 0, replacement=True)
    draws = torch.stack([sampler(step) for step in range(500)])
    spread = (50_000 * 0.1 * 0.9) ** 0.5
    assert (draws.flatten().bincount(minlength=10) - 5000).abs().max() < 5 * spread
    same = (draws[:, 1:] == draws[:, :-1]).float().mean()
    assert same == pytest.approx(0.1, abs=0.01)
    assert (draws[1:] == draws[:-1]).float().mean() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("replacement", [False, True])
def test_seed_changes_the_batches(replacement):
    batches = [BatchSampler(100, 8, seed, replacement=replacement)(0) for seed in (0, 1)]
    assert not torch.equal(*batches)


@pytest.mark.parametrize("world_size", [1, 2, 3, 6])
def test_shards_of_all_processes_make_the_global_batch(world_size):
    batch = BatchSampler(10, 6, 0)(2)
    shards = [shard(batch, rank, world_size) for rank in range(world_size)]
    assert {len(rows) for rows in shards} == {6 // world_size}
    assert torch.equal(torch.cat(shards), batch)


def test_asking_does_not_touch_the_global_generator():
    before = torch.get_rng_state()
    BatchSampler(10, 4, 0)(0)
    BatchSampler(10, 4, 0, replacement=True)(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_only_two_passes_are_kept_in_memory():
    sampler = BatchSampler(10, 4, 0)
    for step in range(100):
        sampler(step)
    assert len(sampler._passes) <= 2
