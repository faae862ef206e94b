"""Labelled images are balanced, nested, and the same for the same seed."""

from itertools import pairwise

import pytest
import torch

from vaelab.data.labels import choose_labelled
from vaelab.errors import UserError

LABELS = torch.arange(1000) * 7 % 10  # 100 images of each of 10 classes, mixed


def choose(num, seed=0, labels=LABELS, num_classes=10):
    return choose_labelled(labels, num, seed, num_classes)


@pytest.mark.parametrize("num", [10, 13, 100, 555, 1000])
def test_each_class_has_equally_many_or_one_more(num):
    for seed in range(3):
        chosen = choose(num, seed)
        assert chosen.dtype == torch.int64
        assert len(chosen.unique()) == num
        assert torch.equal(chosen, chosen.sort().values)
        counts = LABELS[chosen].bincount(minlength=10)
        assert counts.sum() == num
        assert counts.max() - counts.min() == (num % 10 > 0)


def test_a_smaller_choice_is_part_of_a_larger_one():
    for seed in range(5):
        choices = [set(choose(num, seed).tolist()) for num in (10, 20, 25, 31, 100, 300)]
        assert all(small < large for small, large in pairwise(choices))


def test_the_choice_depends_on_the_seed_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = choose(100, 3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(choose(100, 3), first)
    assert not torch.equal(choose(100, 4), first)


def test_every_image_and_every_remainder_is_as_likely():
    counts = torch.zeros(1000)
    for seed in range(400):
        counts[choose(105, seed)] += 1
    # per class: 400 * 10.5 images; each seed gives 10 or 11, standard deviation 0.5 * 20 = 10
    per_class = torch.zeros(10).index_add_(0, LABELS, counts)
    assert (per_class - 4200).abs().max() < 50
    # per image: 400 * 0.105 = 42 with a standard deviation of 6.1
    assert (counts - 42).abs().max() < 35


def test_classes_of_other_sizes_give_what_they_have():
    labels = torch.tensor([0] * 3 + [1] * 50 + [2] * 50)
    assert labels[choose(9, labels=labels, num_classes=3)].bincount().tolist() == [3, 3, 3]
    for seed in range(6):  # the tenth is of a class in a seeded order: 0 has no more than three
        most = max(num for num in range(9, 14) if _fits(labels, num, seed))
        match = rf"^num expects at most {most} .*, got 14 where class 0 has 3 of 103 images"
        with pytest.raises(UserError, match=match):
            choose(14, seed, labels, 3)


def _fits(labels, num, seed):
    try:
        return len(choose(num, seed, labels, 3)) == num
    except UserError:
        return False


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"num": 9}, r"^num expects an integer of at least 10 .*, got 9"),
        ({"num": 20.0}, r"^num expects an integer .*, got 20.0"),
        (
            {"num": 20, "num_classes": 11},
            r"^labels expects images of each of 11 .* class 10",
        ),
        ({"num": 20, "num_classes": 9}, r"^labels expects classes from 0 to 8, got \[9\]"),
        ({"num": 20, "labels": LABELS - 1}, r"^labels expects classes from 0 to 9, got \[-1\]"),
    ],
)
def test_bad_arguments_end_in_a_sentence(arguments, match):
    with pytest.raises(UserError, match=match):
        choose(**arguments)
