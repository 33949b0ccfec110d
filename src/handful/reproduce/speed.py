"""How fast this machine is beside the one whose minutes are written down: one small training step, timed."""

from __future__ import annotations

import time

import numpy as np

REFERENCE = 0.025  # seconds of that step where the minutes of the entries were measured
REFERENCE_WORKERS = 2


def step_seconds() -> float:
    """Return seconds of a training step of a small convolution on one thread: the fastest of a few."""
    import torch
    from torch.nn import functional as F

    from handful.nn.train import one_thread

    noise = np.random.default_rng(0)
    images, filters = (
        torch.from_numpy(noise.standard_normal(shape, dtype=np.float32)) for shape in ((32, 32, 32, 32), (64, 32, 3, 3))
    )
    filters.requires_grad_()
    seconds = []
    with one_thread():
        for _ in range(8):
            started = time.perf_counter()
            F.conv2d(images, filters, padding=1).square().mean().backward()  # type: ignore[no-untyped-call]
            seconds.append(time.perf_counter() - started)
    return min(seconds)


def minutes_here(minutes: float, workers: int) -> float:
    """Return what a study of `minutes` on the reference machine is expected to take on this one."""
    return minutes * step_seconds() / REFERENCE * REFERENCE_WORKERS / max(1, workers)
