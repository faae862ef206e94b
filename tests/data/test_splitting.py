"""Splits keep images with the same pixels together, and are otherwise those of a permutation."""

import numpy as np
import pytest
import torch

from vaelab.data.images import Images
from vaelab.data.splitting import first_copies, split_off
from vaelab.errors import UserError


def split(copies, num, seed=0, index=None):
    copies = torch.as_tensor(copies)
    index = torch.arange(len(copies)) if index is None else index
    return split_off(index, num, seed, "num_val", copies=copies)


def test_first_copies_are_found_by_pixels():
    rows = np.random.default_rng(0).integers(0, 2, (200, 4)).astype(np.uint8)
    expected = [next(j for j in range(200) if (rows[j] == rows[i]).all()) for i in range(200)]
    for dtype in (torch.uint8, torch.float32):
        images = Images(torch.from_numpy(rows).to(dtype), (1, 2, 2))
        assert first_copies(images).tolist() == expected


@pytest.mark.parametrize("seed", [0, 1])
def test_without_copies_the_split_is_a_permutation(seed):
    index = torch.arange(40, 0, -1)
    rest, taken = split_off(index, 7, seed, "num_val")
    with_copies = split(torch.arange(41), 7, seed, index)
    assert torch.equal(with_copies[0], rest)
    assert torch.equal(with_copies[1], taken)
    order = index[torch.randperm(40, generator=torch.Generator().manual_seed(seed))]
    assert torch.equal(torch.cat([taken, rest]), order)


def test_copies_stay_together_and_sizes_are_exact_where_singles_fill_up():
    copies = torch.cat([torch.arange(50).repeat_interleave(3), torch.arange(150, 160)])
    for seed in range(20):
        rest, taken = split(copies, 32, seed)
        assert len(taken) == 32
        assert sorted(torch.cat([rest, taken]).tolist()) == list(range(160))
        assert not set(copies[rest].tolist()) & set(copies[taken].tolist())
    assert torch.equal(split(copies, 32, 3)[1], split(copies, 32, 3)[1])
    assert not torch.equal(split(copies, 32, 3)[1], split(copies, 32, 4)[1])


@pytest.mark.parametrize(("num", "expected"), [(1, 6), (6, 6), (8, 6), (10, 12), (17, 12)])
def test_the_size_is_the_nearest_that_whole_groups_make(num, expected):
    copies = torch.arange(3).repeat_interleave(6)
    rest, taken = split(copies, num)
    assert (len(rest), len(taken)) == (18 - expected, expected)


def test_every_image_is_as_likely_to_be_taken():
    copies = torch.tensor([0, 0, 0, 0, *range(4, 40)])
    counts = sum(torch.bincount(split(copies, 20, seed)[1], minlength=40) for seed in range(600))
    # 0.5 with a standard deviation of 0.02 over 600 seeds
    assert (counts / 600 - 0.5).abs().max() < 0.1


def test_copies_of_one_image_cannot_be_split():
    with pytest.raises(UserError, match=r"^num_val expects different images .*, got 4 copies"):
        split(torch.zeros(4, dtype=torch.long), 2)
