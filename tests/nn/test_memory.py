"""Freed memory is kept: a block that is freed and allocated again is not mapped and zeroed anew."""

from __future__ import annotations

import subprocess
import sys

import pytest

from handful.nn.memory import _glibc, keep_memory, release_memory

FAULTS = """
import resource, torch
from handful.nn.memory import keep_memory
{first}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64 * 2**20, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(min(faults() for _ in range(10)))
"""


def faults(first: str) -> int:
    made = subprocess.run(
        [sys.executable, "-c", FAULTS.format(first=first)], check=True, capture_output=True, text=True
    )
    return int(made.stdout)


@pytest.mark.skipif(_glibc() is None, reason="the C library is not glibc, whose memory this is about")
def test_a_block_that_was_freed_is_used_again() -> None:
    assert faults("keep_memory()") < faults("pass") / 10


def test_both_are_safe_to_call_again_and_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_memory()
    keep_memory()
    release_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    _glibc.cache_clear()
    try:
        assert _glibc() is None
        release_memory()
    finally:
        _glibc.cache_clear()
