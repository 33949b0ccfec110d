"""Features and pictures for the tests of measures, and the tolerances of docs/measures.md."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

TABLE = (Path(__file__).parents[2] / "docs" / "measures.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([a-z_]+)` \| (.+?) \| ([0-9.e-]+) \|$", TABLE, flags=re.MULTILINE)
TOLERANCES = {(measure, reference): float(tolerance) for measure, reference, tolerance in ROWS}


def features(num, dimensions=8, shift=0.0, spread=1.0, seed=0):
    """Gaussian features, [num, dimensions]."""
    return np.random.default_rng(seed).normal(shift, spread, (num, dimensions))


def smooth(num, channels=3, size=16, seed=0):
    """Smooth noise, uint8 [num, channels, size, size]."""
    noise = np.random.default_rng(seed).normal(size=(num, channels, size, size)).cumsum(-1).cumsum(-2)
    low, high = noise.min(axis=(1, 2, 3), keepdims=True), noise.max(axis=(1, 2, 3), keepdims=True)
    return np.rint((noise - low) / (high - low) * 255).astype(np.uint8)


def probabilities(num, classes=6, seed=0):
    """Class probabilities, [num, classes]."""
    odds = np.exp(2 * np.random.default_rng(seed).normal(size=(num, classes)))
    return odds / odds.sum(axis=1, keepdims=True)
