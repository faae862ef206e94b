"""Random streams: functions of their words, blind to each other."""

import pytest
import torch

from vaelab.seeding import derive_seed, generator, random_stream, seed_device


def draw(*words, num=10_000):
    return torch.randn(num, generator=generator(*words))


def test_seed_is_a_fixed_function_of_the_words():
    # The number is part of every published result: changing it changes them all.
    assert derive_seed("noise", 0, 12) == 1147456070478864295
    assert 0 <= derive_seed("noise", 0, 12) < 2**63


def test_words_do_not_run_into_each_other():
    words = [
        ("a", 1, 2),
        ("a", 12),
        ("a", "12"),
        ("a1", 2),
        ("a", 2, 1),
        ("noise", 0),
        ("order", 0),
    ]
    assert len({derive_seed(*w) for w in words}) == len(words)
    assert len({derive_seed("noise", seed, t) for seed in range(30) for t in range(30)}) == 900


@pytest.mark.parametrize("other", [("noise", 0, 1), ("noise", 1, 0), ("order", 0, 0)])
def test_streams_of_near_words_are_uncorrelated(other):
    pair = torch.stack([draw("noise", 0, 0), draw(*other)])
    assert abs(torch.corrcoef(pair)[0, 1]) < 0.05  # 5 sigma of 10,000 draws


def test_generator_repeats_and_leaves_the_global_one_alone():
    before = torch.get_rng_state()
    assert torch.equal(draw("x", 1), draw("x", 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_random_stream_draws_by_its_words_and_restores_the_global_state():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with random_stream("figures", 1):
        inside = torch.rand(4)
    assert torch.equal(torch.rand(4), expected)
    with random_stream("figures", 1):
        assert torch.equal(torch.rand(4), inside)
    assert not torch.equal(inside, expected)


def test_random_stream_restores_after_an_exception_and_nests():
    before = torch.get_rng_state()
    with pytest.raises(IndexError), random_stream("a"):
        torch.rand(1)[2]
    assert torch.equal(torch.get_rng_state(), before)
    with random_stream("a"):
        straight = torch.rand(2)
    with random_stream("a"):
        first = torch.rand(1)
        with random_stream("b"):
            torch.rand(7)
        assert torch.equal(torch.cat([first, torch.rand(1)]), straight)


def test_seed_device_draws_on_the_cpu_as_manual_seed_does():
    def draws():
        return torch.cat([torch.randn(6), torch.randperm(9).float(), torch.rand(3)])

    torch.manual_seed(derive_seed("noise", 0, 5))
    expected = draws()
    seed_device(torch.device("cpu"), "noise", 0, 5)
    assert torch.equal(draws(), expected)
