"""The C allocator keeps freed memory where that can be asked of it."""

import platform

import pytest
import torch

from vaelab.allocator import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc")
def test_glibc_agrees():
    assert keep_freed_memory() is True
    assert torch.ones(10_000_000).sum() == 10_000_000  # and memory still works


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_freed_memory() is False
