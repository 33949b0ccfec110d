"""Freed memory is kept for the next step instead of going back to the kernel after every one."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # parameters of glibc's mallopt (malloc.h)


@cache
def keep_memory() -> None:
    """Tell the C library to keep what is freed; once for this process, and nothing where it is not glibc.

    By default glibc maps a large block anew at every allocation and gives it back when it is freed, and the kernel
    zeroes each page of it again: at 224 px half of the processor time of a training step (`benchmarks/memory.py`).
    No result changes. What a fit has left over goes back to the kernel at its end, see `release_memory`.
    """
    if (library := _glibc()) is not None:
        library.mallopt(MMAP_MAX, 0)
        library.mallopt(TRIM_THRESHOLD, -1)


def release_memory() -> None:
    """Give what is free back to the kernel."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
