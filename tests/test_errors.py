"""What is told of an exception: a sentence where the user can mend it."""

import pytest
import torch

from vaelab.errors import UserError, known_cause, sentence


def test_a_mistake_below_another_exception_is_found():
    error = RuntimeError("building failed")
    error.__cause__ = UserError("expected a")
    assert known_cause(error) == sentence(error) == "expected a"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_lack_of_memory_is_for_the_user_to_mend(error):
    told = known_cause(error)
    assert told.startswith("expected memory enough for this run")
    assert (str(error) or "MemoryError") in told
    assert "use a smaller batch_size or eval_batch_size" in told


def test_a_bug_is_none():
    assert known_cause(KeyError("x")) is None
    assert sentence(KeyError("x")) == "KeyError: 'x'"
