"""Independent random streams, each with a name.

A seed is derived from a root seed and a path of names, so that adding a stream never moves another one. Nothing here
reads or moves the global streams of Python, NumPy or torch, except inside `forked`, which puts torch's back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from operator import index
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

MAX_SEED = 2**63 - 1


def derive(root: int, *names: str | int) -> int:
    """Return a seed in [0, 2**63) that depends on the root seed and on every name, in order.

    The first eight bytes of SHA-256 over the root and the names, so streams with different names are independent for
    all practical purposes and equal on every machine.
    """
    typed = (f"str:{name}" if isinstance(name, str) else f"int:{index(name)}" for name in names)
    text = "\x1f".join([str(root), *typed])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") & MAX_SEED


def numpy_rng(root: int, *names: str | int) -> np.random.Generator:
    """Return a NumPy stream of its own for (root, names)."""
    return np.random.default_rng(derive(root, *names))


def torch_rng(root: int, *names: str | int, device: str = "cpu") -> torch.Generator:
    """Return a torch stream of its own for (root, names) on `device`."""
    import torch

    return torch.Generator(device=device).manual_seed(derive(root, *names))


@contextmanager
def forked(seed: int | None = None, device: str = "cpu") -> Iterator[None]:
    """Run a block with torch's global streams free to move, and put them back afterwards.

    Dropout and layer initialisation draw from the global stream; inside this block they draw from `seed`.
    """
    import torch

    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            reseed(seed, device)
        yield


def reseed(seed: int, device: str = "cpu") -> None:
    """Set torch's global streams of the CPU and of `device`; to be called inside `forked`.

    `torch.manual_seed` does the same for every kind of device, and where CUDA has not been used yet it also keeps a
    formatted stack trace of each call, which costs more than a step of a small network.
    """
    import torch

    torch.default_generator.manual_seed(seed)
    if torch.device(device).type == "cuda":
        torch.cuda.manual_seed(seed)
