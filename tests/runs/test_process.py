"""The C allocator keeps freed memory where that can be asked of it."""

import platform

import pytest
import torch

from vaelab.runs.process import tune_malloc


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc")
def test_glibc_agrees():
    assert tune_malloc() is True
    assert torch.ones(10_000_000).sum() == 10_000_000  # and memory still works


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert tune_malloc() is False
