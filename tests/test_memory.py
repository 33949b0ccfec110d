"""Buffers of torch lie in huge pages: a large one takes few page faults, in this process and in those it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

OFFERED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
FAULTS = """
import resource, handful, torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
kept = torch.ones(64 * 2**20, dtype=torch.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**variables: str) -> int:
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    words = [sys.executable, "-c", FAULTS]
    made = subprocess.run(words, check=True, capture_output=True, text=True, env={**environment, **variables})
    return int(made.stdout)


@pytest.mark.skipif(
    not OFFERED.exists() or "[never]" in OFFERED.read_text(encoding="utf-8"), reason="this system has no huge pages"
)
def test_large_buffers_lie_in_huge_pages_unless_that_is_turned_off() -> None:
    assert faults() < faults(THP_MEM_ALLOC_ENABLE="0") / 10
