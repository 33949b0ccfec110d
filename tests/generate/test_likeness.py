"""Distances between pictures, and what counts as a near copy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from handful.config import ConfigError
from handful.generate import likeness
from handful.generate.likeness import (
    Nearest,
    copy_threshold,
    features_of,
    mean_pairwise,
    near_copies,
    nearest,
    pixel_features,
    share_by_chance,
)
from handful.generate.select_copies import RejectCopies


@pytest.fixture(params=[4096, 7])
def rows(request, monkeypatch):
    """Features, worked through in one block and in small ones."""
    monkeypatch.setattr(likeness, "_BLOCK", request.param)
    return np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 12, 20), (1, 5, 5), (3, 100, 64)])
def test_the_distance_of_two_flat_pictures_is_their_difference_in_grey_levels(shape):
    pair = np.stack([np.full(shape, 40, dtype=np.uint8), np.full(shape, 52, dtype=np.uint8)])
    one, other = pixel_features(pair)
    assert np.linalg.norm(one - other) == pytest.approx(12, rel=1e-5)


def test_pixels_are_means_over_squares():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32)).astype(np.uint8)
    means = pixels.reshape(4, 3, 16, 2, 16, 2).mean(axis=(3, 5)).reshape(4, -1) / np.sqrt(3 * 256)
    np.testing.assert_allclose(pixel_features(pixels), means, rtol=1e-5)
    assert pixel_features(pixels[:0]).shape == (0, 768)


def test_a_picture_s_features_do_not_depend_on_the_others(monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 1, 28, 28)).astype(np.uint8)
    whole = pixel_features(pixels)
    monkeypatch.setattr(likeness, "_BLOCK", 4)
    np.testing.assert_array_equal(pixel_features(pixels), whole)


def test_nearest_is_that_of_scipy(rows):
    between = cdist(rows[:8].astype(np.float64), rows[8:].astype(np.float64))
    found = nearest(rows[:8], rows[8:])
    np.testing.assert_array_equal(found.place, between.argmin(axis=1))
    ordered = np.sort(between, axis=1)
    np.testing.assert_allclose(found.distance, ordered[:, 0])
    np.testing.assert_allclose(found.second, ordered[:, 1])


def test_leaving_one_out_is_that_of_scipy(rows):
    between = cdist(rows.astype(np.float64), rows.astype(np.float64))
    np.fill_diagonal(between, np.inf)
    found = nearest(rows, rows, but_itself=True)
    np.testing.assert_array_equal(found.place, between.argmin(axis=1))
    np.testing.assert_allclose(found.second, np.sort(between, axis=1)[:, 1])
    assert copy_threshold(rows) == pytest.approx(np.quantile(between.min(axis=1), 0.01))


def test_mean_pairwise_is_that_of_scipy(rows):
    assert mean_pairwise(rows) == pytest.approx(pdist(rows.astype(np.float64)).mean())


def test_equal_rows_are_at_distance_zero_exactly():
    rows = np.random.default_rng(0).normal(1e3, 1, (5, 50)).astype(np.float32)
    assert nearest(rows, rows).distance.tolist() == [0] * 5


def test_with_one_other_picture_there_is_no_next_one(rows):
    assert np.isinf(nearest(rows, rows[:1]).second).all()
    assert np.isinf(nearest(rows[:2], rows[:2], but_itself=True).second).all()
    assert copy_threshold(rows[:1]) is None


def test_a_near_copy_is_under_the_threshold_and_near_to_one_picture_alone():
    found = Nearest(np.array([0.5, 0.5, 2.0, 0.0, 1.0]), np.array([5.0, 0.6, 9.0, 0.0, 9.0]), np.zeros(5, np.int64))
    assert near_copies(found, 1.0).tolist() == [True, False, False, True, False]
    assert near_copies(found, 1.0, ratio=1.0).tolist() == [True, True, False, True, False]
    assert near_copies(found, 0.0).tolist() == [False, False, False, True, False]


@pytest.mark.parametrize("num", [2, 8, 30])
def test_the_share_of_real_pictures_under_the_threshold_is_the_one_stated(num):
    """Simulated: the probability is exact for any continuous distribution."""
    stream = np.random.default_rng(0)
    under = []
    for _ in range(1000):
        rows = stream.normal(size=(num + 1, 5))
        under.append(nearest(rows[num:], rows[:num]).distance[0] < copy_threshold(rows[:num]))
    expected = share_by_chance(num)
    assert np.mean(under) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 1000))


def test_features_of_an_extractor_are_its_own():
    from handful.measure.extractors import extractor_of

    pixels = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8)).astype(np.uint8)
    np.testing.assert_array_equal(features_of("pixels", pixels), extractor_of("pixels").features(pixels))


def test_a_misspelt_extractor_is_an_error_when_the_recipe_is_made():
    with pytest.raises(ConfigError, match="'pixels16' is pixels averaged to 16 x 16"):
        RejectCopies(features="lite00")
    assert RejectCopies(features="lite0").features == "lite0"
