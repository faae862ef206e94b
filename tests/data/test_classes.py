"""Class numbers from what a user writes, and what classes are called."""

import numpy as np
import pytest
import torch

from vaelab.data import Classes, FactorSpace
from vaelab.errors import UserError

DIGITS = Classes(FactorSpace(("label",), (10,)))
CLOTHES = Classes(FactorSpace(("label",), (3,)), ("coat", "bag", "boot"))
HEARTS = Classes(FactorSpace(("shape", "scale"), (3, 6)))


@pytest.mark.parametrize(
    ("classes", "y", "numbers"),
    [
        (DIGITS, 7, [7, 7]),
        (DIGITS, np.int32(7), [7, 7]),
        (DIGITS, [7, 1], [7, 1]),
        (DIGITS, torch.tensor([0, 9]), [0, 9]),
        (DIGITS, {"label": 4}, [4, 4]),
        (CLOTHES, "boot", [2, 2]),
        (CLOTHES, 1, [1, 1]),
        (HEARTS, {"scale": 5, "shape": 2}, [17, 17]),
        (HEARTS, {"shape": 0, "scale": np.int64(3)}, [3, 3]),
        (HEARTS, np.array([6, 17]), [6, 17]),
    ],
)
def test_numbers_of_what_a_user_writes(classes, y, numbers):
    found = classes.numbers(y, 2)
    assert found.dtype == torch.int64
    assert found.tolist() == numbers


@pytest.mark.parametrize(
    ("classes", "y", "message"),
    [
        (DIGITS, 10, r"^y expects class numbers from 0 to 9, got \[10\]; count from 0\.$"),
        (DIGITS, [0, -1], r"got \[-1\]; count"),
        (DIGITS, 1.0, "got torch.float64; give integers"),
        (DIGITS, [True, False], "got torch.bool; give integers"),
        (DIGITS, [1, 2, 3], r"^y expects one class or one per image \(2\), got shape \(3,\);"),
        (DIGITS, [[1, 2]], r"got shape \(1, 2\)"),
        (DIGITS, "seven", "^y expects a class number from 0 to 9, .* got 'seven'; give a number"),
        (CLOTHES, "boots", "^y expects one of coat, bag, boot, got 'boots'; did you mean boot"),
        (HEARTS, {"shape": 1}, r"^y expects a value of each of shape, scale, .*; add scale\.$"),
        (HEARTS, {"shape": 1, "scales": 0}, "got 'scales'; try scale"),
        (HEARTS, {"shape": 3, "scale": 0}, "factor 'shape' expects values from 0 to 2, got 3"),
        (HEARTS, {"shape": 1.5, "scale": 0}, "^factor 'shape' expects the number of a value"),
    ],
)
def test_what_is_no_class_is_rejected(classes, y, message):
    with pytest.raises(UserError, match=message):
        classes.numbers(y, 2)


def test_classes_have_names_for_sentences_and_for_axes():
    assert (DIGITS.name(7), DIGITS.short_name(7), DIGITS.title) == ("7", "7", "label")
    assert (CLOTHES.name(1), CLOTHES.short_name(1)) == ("bag", "bag")
    assert (HEARTS.name(17), HEARTS.short_name(17)) == ("shape 2, scale 5", "2, 5")
    assert (HEARTS.title, len(HEARTS)) == ("shape, scale", 18)
