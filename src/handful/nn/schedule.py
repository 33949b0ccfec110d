"""Learning rates over the steps of a training, as factors of the rate that a recipe names."""

from __future__ import annotations

import math

START, END = 25.0, 1e4  # a one-cycle training starts at 1/25 of its highest rate and ends at 1e-4 of the first


def cosine(done: float) -> float:
    """Return the factor after a share `done` in [0, 1]: (1 + cos(pi done)) / 2 (Loshchilov and Hutter 2017, eq. 5)."""
    return 0.5 * (1 + math.cos(math.pi * done))


def one_cycle(step: int, steps: int, pct_start: float) -> float:
    """Return the factor of a step (0-based) of `steps` in one cycle (Smith and Topin 2017).

    From 1/25 up to 1 over the share `pct_start` of the steps, then down to 1/250,000 at the last one, both along half
    a cosine and without a cycle of momentum, as fastai does. Checked against torch's OneCycleLR.
    """
    top, last = max(0.0, pct_start * steps - 1), steps - 1
    if step < top:
        return _between(1 / START, 1.0, step / top)
    return _between(1.0, 1 / (START * END), (step - top) / (last - top) if last > top else 0.0)


def _between(first: float, last: float, done: float) -> float:
    return last + (first - last) * cosine(done)
