"""t-SNE: groups stay together, the same seed gives the same plane, and too little to draw is an error."""

from __future__ import annotations

import numpy as np
import pytest

from handful.errors import DataError
from handful.measure.embedding import tsne


def test_groups_far_apart_stay_together():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], 12)
    points = tsne(rng.normal(size=(36, 10)) + 20 * np.eye(10)[group], seed=3)
    assert points.dtype == np.float32
    distance = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(36, np.inf))
    assert (group[distance.argmin(axis=1)] == group).all()


def test_same_seed_same_plane():
    features = np.random.default_rng(0).normal(size=(12, 5))
    np.testing.assert_array_equal(tsne(features, seed=2**40 + 1), tsne(features, seed=2**40 + 1))


def test_too_little_to_draw():
    with pytest.raises(DataError, match=r"3 pictures .* four is the least"):
        tsne(np.eye(3), seed=0)
    with pytest.raises(DataError, match="all features are equal"):
        tsne(np.ones((9, 4)), seed=0)
